using Keepalive.Agent.Sockets;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Liveness;

/// <summary>A connection that a rule selects, as long as the kernel has it. Mutable; guarded by the monitor's lock.</summary>
internal sealed class WatchedConnection(in SocketRecord record, WatchedScope scope, PooledEndpoint? endpoint)
{
    public WatchedScope Scope { get; } = scope;

    public ulong Cookie { get; } = record.Cookie;

    public SocketEndpoint Local { get; } = record.Local;

    public SocketEndpoint Remote { get; } = record.Remote;

    public CompiledRule Rule { get; set; } = record.Rule!;

    /// <summary>Its remote endpoint in the pool; null for an accepted connection, because nobody connects to a client's port.</summary>
    public PooledEndpoint? Endpoint { get; set; } = endpoint;

    public ConnectionLiveness State { get; set; }

    public DeathLimit Limit { get; set; }

    /// <summary>TCP_KEEPINTVL in nanoseconds; 0 if unknown.</summary>
    public long Interval { get; set; }

    /// <summary>When the last probe was sent, in nanoseconds since 1970.</summary>
    public long ProbedAt { get; set; }

    /// <summary>When the last segment in either direction was captured, in nanoseconds since 1970.</summary>
    public long SeenAt { get; set; }

    /// <summary>TCP_KEEPIDLE in nanoseconds; 0 if unknown or keepalive is off.</summary>
    public long Time { get; set; }

    /// <summary>When the kernel last received something, by the last pass that read it, in nanoseconds since 1970.</summary>
    public long HeardAt { get; set; }

    /// <summary>When to ask the kernel, in nanoseconds since 1970. By then, a probe should have been captured.</summary>
    public long LookAt { get; set; }

    /// <summary>When a reset came that the kernel may not have accepted; 0 if none came, or the connection went on.</summary>
    public long ResetAt { get; set; }

    /// <summary>The scope's gaps when the count of unanswered probes was last known to be right. After another gap, an answer may be
    /// missing.</summary>
    public long Gaps { get; set; } = scope.Gaps;

    /// <summary>The scope's gaps when the connection's last packet came.</summary>
    public long GapsBefore { get; set; } = scope.Gaps;

    /// <summary>Whether packets may have been dropped that would have changed the count of unanswered probes.</summary>
    public bool IsUncertain => Gaps != Scope.Gaps;

    /// <summary>The number of probes since the last certain count that seemed unanswered.</summary>
    public int Uncertain { get; set; }

    public TcpTimer Timer { get; set; }

    /// <summary>The outcome of its rule.</summary>
    public SocketOutcome Outcome { get; set; }

    public string? Reason { get; set; }

    /// <summary>Its actual values; null if unknown.</summary>
    public KeepaliveOptions? Values { get; set; }

    public TcpState TcpState { get; set; }

    /// <summary>A process that has the socket; 0 if none is known.</summary>
    public int Pid { get; set; }

    /// <summary>Whether either end has closed the connection, or no rule selects it any more.</summary>
    public bool IsClosing { get; set; }

    /// <summary>The number of the last listing of its namespace that contained it.</summary>
    public long Frame { get; set; }

    /// <summary>Records that the count of unanswered probes is known to be right.</summary>
    public void Settle() => (Gaps, Uncertain) = (Scope.Gaps, 0);
}
