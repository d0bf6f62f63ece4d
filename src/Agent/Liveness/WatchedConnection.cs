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

    /// <summary>Its far end, as one to connect to; null for an accepted connection, whose far end nobody can.</summary>
    public PooledEndpoint? Endpoint { get; set; } = endpoint;

    public ConnectionLiveness State { get; set; }

    public DeathLimit Limit { get; set; }

    /// <summary>TCP_KEEPINTVL in nanoseconds, 0 where not known.</summary>
    public long Interval { get; set; }

    /// <summary>When the last probe was sent, and when the last segment either way was seen, in nanoseconds since 1970.</summary>
    public long ProbedAt { get; set; }

    public long SeenAt { get; set; }

    /// <summary>TCP_KEEPIDLE in nanoseconds, 0 where not known or keepalive is off.</summary>
    public long Time { get; set; }

    /// <summary>When the kernel last said that something had come, in nanoseconds since 1970.</summary>
    public long HeardAt { get; set; }

    /// <summary>When to ask the kernel, as by then a probe should have been captured, in nanoseconds since 1970.</summary>
    public long LookAt { get; set; }

    /// <summary>When a reset came that the kernel may not have taken; 0 where none did, or the connection went on.</summary>
    public long ResetAt { get; set; }

    /// <summary>The scope's gaps when its count of unanswered probes was last known to be right. After another one an answer may be missing.</summary>
    public long Gaps { get; set; } = scope.Gaps;

    /// <summary>The scope's gaps when its last packet came.</summary>
    public long GapsBefore { get; set; } = scope.Gaps;

    /// <summary>Whether packets that would have changed its count may have been dropped.</summary>
    public bool IsUncertain => Gaps != Scope.Gaps;

    /// <summary>Probes since then that seemed to be unanswered.</summary>
    public int Uncertain { get; set; }

    public TcpTimer Timer { get; set; }

    /// <summary>How it stands to its rule, and why where it could not be set.</summary>
    public SocketOutcome Outcome { get; set; }

    public string? Reason { get; set; }

    /// <summary>The values it really has, null where not known.</summary>
    public KeepaliveOptions? Values { get; set; }

    public TcpState TcpState { get; set; }

    /// <summary>A process that has it; 0 where none is known.</summary>
    public int Pid { get; set; }

    /// <summary>Whether either end has said that it is done, or no rule selects it any more.</summary>
    public bool IsClosing { get; set; }

    /// <summary>The frame it was last reported in.</summary>
    public long Frame { get; set; }

    /// <summary>Its count of unanswered probes is known to be right.</summary>
    public void Settle() => (Gaps, Uncertain) = (Scope.Gaps, 0);
}
