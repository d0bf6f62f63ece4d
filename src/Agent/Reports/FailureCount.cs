using Keepalive.Agent.Apply;
using Keepalive.Agent.Sockets;

namespace Keepalive.Agent.Reports;

/// <summary>Counts the sockets that a pass could not bring to where they should be.</summary>
internal sealed class FailureCount : ISocketSink
{
    private readonly HashSet<(ulong Namespace, ulong Cookie)> _failed = [];

    public int Failed => _failed.Count;

    public void BeginNamespace(ulong inode)
    {
    }

    public void Socket(in SocketRecord record)
    {
        var id = (record.Namespace, record.Cookie);
        // Without a memory there is nothing to restore, whatever was in the way.
        if (record.Outcome is SocketOutcome.Failed or SocketOutcome.Unreachable && record.Found is not null)
        {
            _failed.Add(id);
        }
        else
        {
            _failed.Remove(id);
        }
    }

    public void EndNamespace(ulong inode)
    {
    }

    public void NamespaceGone(ulong inode)
    {
    }
}
