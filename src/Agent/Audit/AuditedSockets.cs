using Keepalive.Agent.Apply;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Audit;

/// <summary>Collects what <c>audit</c> looks at: connections, and which ports are listened on.</summary>
internal sealed class AuditedSockets : ISocketSink
{
    private readonly Dictionary<(ulong Namespace, ulong Cookie), SocketRecord> _connections = [];
    private readonly HashSet<(ulong Namespace, ushort Port)> _listening = [];

    /// <summary>Established connections between this host and another.</summary>
    public IEnumerable<SocketRecord> Connections => _connections.Values.Where(static record => !record.IsLocal);

    /// <summary>How many there are that never leave their namespace, and so go through no balancer.</summary>
    public int Local => _connections.Values.Count(static record => record.IsLocal);

    public void BeginNamespace(ulong inode)
    {
    }

    public void Socket(in SocketRecord record)
    {
        if (record.State == TcpState.Listen)
        {
            _listening.Add((record.Namespace, record.Local.Port));
        }
        else if (record.State is TcpState.Established or TcpState.CloseWait or TcpState.FinWait2)
        {
            _connections[(record.Namespace, record.Cookie)] = record;
        }
    }

    public void EndNamespace(ulong inode)
    {
    }

    public void NamespaceGone(ulong inode)
    {
    }

    /// <summary>Whether it was accepted here rather than opened: something listens on its own port.</summary>
    public bool IsAccepted(in SocketRecord record) => _listening.Contains((record.Namespace, record.Local.Port));
}
