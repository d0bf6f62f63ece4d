using Keepalive.Agent.Apply;
using Keepalive.Agent.Sockets;

namespace Keepalive.Agent.Reports;

/// <summary>Gives every record to several receivers.</summary>
internal sealed class FanOut(params ISocketSink[] sinks) : ISocketSink
{
    public void BeginNamespace(ulong inode)
    {
        foreach (var sink in sinks)
        {
            sink.BeginNamespace(inode);
        }
    }

    public void Socket(in SocketRecord record)
    {
        foreach (var sink in sinks)
        {
            sink.Socket(in record);
        }
    }

    public void EndNamespace(ulong inode)
    {
        foreach (var sink in sinks)
        {
            sink.EndNamespace(inode);
        }
    }

    public void NamespaceGone(ulong inode)
    {
        foreach (var sink in sinks)
        {
            sink.NamespaceGone(inode);
        }
    }
}
