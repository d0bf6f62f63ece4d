using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Sockets;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Liveness;

/// <summary>A connection that a rule selects, as long as the kernel has it. Mutable; guarded by the monitor's lock.</summary>
/// <remarks>There may be a hundred thousand: addresses are stored without padding, values that many have in one object, and what few have apart.</remarks>
internal sealed class WatchedConnection(in SocketRecord record, WatchedScope scope, PooledEndpoint? endpoint) : ISocketEntry
{
    private const long Second = 1_000_000_000;

    private readonly ulong _localUpper = record.Local.Upper;
    private readonly ulong _localLower = record.Local.Lower;
    private readonly ulong _remoteUpper = record.Remote.Upper;
    private readonly ulong _remoteLower = record.Remote.Lower;
    private readonly ushort _localPort = record.Local.Port;
    private readonly ushort _remotePort = record.Remote.Port;
    private Shared<KeepaliveOptions>? _values;
    private int _interval;
    private int _time;
    private Rare? _rare;

    /// <summary>The time before its own probe in which a connection is not asked: the kernel's timers and the passes are not
    /// exact.</summary>
    public const long Margin = 2 * Second;

    public WatchedScope Scope { get; } = scope;

    public ulong Cookie { get; } = record.Cookie;

    public SocketEndpoint Local => new(_localUpper, _localLower, _localPort);

    public SocketEndpoint Remote => new(_remoteUpper, _remoteLower, _remotePort);

    public CompiledRule Rule { get; set; } = record.Rule!;

    /// <summary>Its remote endpoint in the pool; null for an accepted connection, because nobody connects to a client's port.</summary>
    public PooledEndpoint? Endpoint { get; set; } = endpoint;

    /// <summary>The backend behind the virtual address that it goes to; null if it goes to none, or the backend is unknown.</summary>
    public SocketEndpoint? Backend
    {
        get => _rare?.Backend;
        set => Apart.Backend = value;
    }

    /// <summary>When it left the kernel's table, in nanoseconds since 1970; 0 if it did not.</summary>
    public long LeftAt
    {
        get => _rare?.LeftAt ?? 0;
        set => Apart.LeftAt = value;
    }

    /// <summary>The vote that it counts for. Null if its other end is in its own namespace, or is no endpoint.</summary>
    public WorkloadVote? Vote { get; set; }

    /// <summary>Its index in the connections of the vote.</summary>
    public int VoteIndex { get; set; }

    /// <summary>Its owner. Connections of one owner refer to one object.</summary>
    public ConnectionOwner Owner { get; set; } = ConnectionOwner.Unknown;

    /// <summary>The workload that it belongs to, for example <c>pod:shop/cart-7d9f</c>, <c>unit:nginx.service</c> or
    /// <c>uid:1000</c>.</summary>
    public string Workload => Owner.Workload;

    /// <summary>The Kubernetes namespace of its pod; empty if it belongs to no pod, or if the pod is unknown.</summary>
    public string PodNamespace => Owner.PodNamespace;

    /// <summary>Whether its other end is in its own network namespace.</summary>
    public bool IsLocal { get; set; }

    public ConnectionLiveness State { get; set; }

    /// <summary>When the first of its unanswered probes was sent, in nanoseconds since 1970.</summary>
    public long SilentSince
    {
        get => _rare?.SilentSince ?? 0;
        set => Apart.SilentSince = value;
    }

    /// <summary>When a pass made it send a probe, in nanoseconds since 1970; 0 if none did.</summary>
    public long AskedAt
    {
        get => _rare?.AskedAt ?? 0;
        set => Apart.AskedAt = value;
    }

    /// <summary>The kernel's count of unanswered probes in the last pass that read it.</summary>
    public int KernelUnanswered { get; set; }

    /// <summary>TCP_USER_TIMEOUT in milliseconds; 0 if off or unknown.</summary>
    public int UserTimeout { get; set; }

    /// <summary>Whether TCP_USER_TIMEOUT ends it before its probes are spent.</summary>
    public bool HasShortUserTimeout { get; set; }

    public DeathLimit Limit { get; set; }

    /// <summary>TCP_KEEPINTVL in nanoseconds; 0 if unknown.</summary>
    public long Interval
    {
        get => _interval * Second;
        set => _interval = (int)(value / Second);
    }

    /// <summary>When the last probe was sent, in nanoseconds since 1970.</summary>
    public long ProbedAt { get; set; }

    /// <summary>When the last segment in either direction was captured, in nanoseconds since 1970; its own resets do not count.</summary>
    public long SeenAt { get; set; }

    /// <summary>TCP_KEEPIDLE in nanoseconds; 0 if unknown or keepalive is off.</summary>
    public long Time
    {
        get => _time * Second;
        set => _time = (int)(value / Second);
    }

    /// <summary>When the kernel last received something, by the last pass that read it, in nanoseconds since 1970.</summary>
    public long HeardAt { get; set; }

    /// <summary>When a packet was last captured that the kernel counts as an answer, in nanoseconds since 1970; 0 if never.</summary>
    public long AnsweredAt { get; set; }

    /// <summary>When to ask the kernel, in nanoseconds since 1970. By then, a probe should have been captured.</summary>
    public long LookAt { get; set; }

    /// <summary>When a reset came that the kernel may not have accepted; 0 if none came, or the connection went on.</summary>
    public long ResetAt
    {
        get => _rare?.ResetAt ?? 0;
        set
        {
            if (value != 0 || _rare is not null)
            {
                Apart.ResetAt = value;
            }
        }
    }

    /// <summary>The scope's gaps when the count of unanswered probes was last known to be right. After another gap, an answer may be
    /// missing.</summary>
    public int Gaps { get; set; } = scope.Gaps;

    /// <summary>The scope's gaps when the connection's last packet came.</summary>
    public int GapsBefore { get; set; } = scope.Gaps;

    /// <summary>Whether packets may have been dropped that would have changed the count of unanswered probes.</summary>
    public bool IsUncertain => Gaps != Scope.Gaps;

    /// <summary>The number of probes since the last certain count that seemed unanswered.</summary>
    public int Uncertain { get; set; }

    /// <summary>The time from its last answered probe to the reply, in microseconds; without a captured reply the kernel's smoothed
    /// round-trip time; 0 if unknown.</summary>
    public int RoundTrip { get; set; }

    /// <summary>When the agent last wrote to it, in nanoseconds since 1970; 0 if it did not since the agent started.</summary>
    public long SetAt { get; set; }

    public TcpTimer Timer { get; set; }

    /// <summary>The outcome of its rule.</summary>
    public SocketOutcome Outcome { get; set; }

    public string? Reason { get; set; }

    /// <summary>Its actual values; null if unknown.</summary>
    public KeepaliveOptions? Values
    {
        get => _values?.Value;
        set
        {
            if (value != _values?.Value)
            {
                _values = Shared<KeepaliveOptions>.Of(value);
            }
        }
    }

    public TcpState TcpState { get; set; }

    /// <summary>A process that has the socket; 0 if none is known.</summary>
    public int Pid { get; set; }

    /// <summary>Whether one end has announced that it sends no more data.</summary>
    public bool IsClosing { get; set; }

    /// <summary>Whether this end sent a reset: the kernel gave up the connection, or its application aborted it.</summary>
    public bool HasReset { get; set; }

    /// <summary>Whether its application has closed it, or no rule selects it any more. Its end then shows nothing about the other
    /// end.</summary>
    public bool IsReleased { get; set; }

    /// <summary>The number of the last listing of its namespace that contained it.</summary>
    public int Frame { get; set; }

    /// <summary>Whether nothing probes it, as far as is known. A connection that never leaves its namespace goes through no
    /// balancer.</summary>
    public bool IsUnprotected => !IsLocal && TcpState == TcpState.Established
        && Outcome is not (SocketOutcome.Managed or SocketOutcome.Deferred or SocketOutcome.Pending)
        && (Values is { } values ? !values.Enabled : Timer != TcpTimer.Keepalive);

    /// <summary>Returns the time to its next probe and the time between the last sign of life, or the last probe, and that one, in
    /// nanoseconds; null if none is due. Traffic that was not captured postpones the probe.</summary>
    public (long In, long Every)? NextProbe(long now)
    {
        if (Values is not { Enabled: true } values || State.Phase == LivenessPhase.Dead || TcpState != TcpState.Established)
        {
            return null;
        }
        var (from, every) = State.Phase == LivenessPhase.Probing ? (ProbedAt, values.Interval * Second) : (Math.Max(HeardAt, AnsweredAt), values.Time * Second);
        return (Math.Max(0, from + every - now), every);
    }

    /// <summary>Whether a pass can make it send a probe. If that probe is lost, the connection must not end earlier than without it. A
    /// connection that soon probes by itself does not need to be asked.</summary>
    public bool CanBeAsked(long now) => IsQuiet && !HasShortUserTimeout && Outcome == SocketOutcome.Managed
        && Limit.Probes is >= 2 and < int.MaxValue && Time > 4 * Second && ProbesAt - now > Margin;

    /// <summary>Whether it sends a probe by itself within a time.</summary>
    public bool ProbesWithin(long time, long now) => IsQuiet && Time > 0 && ProbesAt - now <= time;

    /// <summary>Whether it waits for nothing. An answer to its next probe then shows that the other end is alive.</summary>
    private bool IsQuiet => State.Phase is LivenessPhase.Idle or LivenessPhase.Alive && KernelUnanswered == 0
        && TcpState == TcpState.Established && !IsClosing && !IsReleased;

    /// <summary>When its own next probe is due.</summary>
    private long ProbesAt => Math.Max(HeardAt, AnsweredAt) + Time;

    /// <summary>Records that the count of unanswered probes is known to be right.</summary>
    public void Settle() => (Gaps, Uncertain) = (Scope.Gaps, 0);

    private Rare Apart => _rare ??= new Rare();

    /// <summary>Facts of connections that few have.</summary>
    private sealed class Rare
    {
        public SocketEndpoint? Backend { get; set; }

        public long LeftAt { get; set; }

        public long SilentSince { get; set; }

        public long AskedAt { get; set; }

        public long ResetAt { get; set; }
    }
}

/// <summary>The owner of connections.</summary>
/// <param name="AccountedTo">The name of the workload in the records of the passes; null if no pass has named one.</param>
/// <param name="Workload">The workload.</param>
/// <param name="PodNamespace">The Kubernetes namespace of its pod; empty if it is no pod, or the pod is unknown.</param>
internal sealed record ConnectionOwner(string? AccountedTo, string Workload, string PodNamespace)
{
    public static ConnectionOwner Unknown { get; } = new(null, "", "");
}
