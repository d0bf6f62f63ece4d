using Keepalive.Agent.Apply;
using Keepalive.Agent.Sockets;

namespace Keepalive.Agent.Reports;

/// <summary>Gives every record to several receivers.</summary>
internal sealed class FanOut(params ISocketSink[] sinks) : ISocketSink
{
    public bool TakesChanges { get; } = sinks.All(static sink => sink.TakesChanges);

    public void BeginChanges(ulong inode)
    {
        foreach (var sink in sinks)
        {
            sink.BeginChanges(inode);
        }
    }

    public void Gone(ulong inode, ulong cookie)
    {
        foreach (var sink in sinks)
        {
            sink.Gone(inode, cookie);
        }
    }

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
