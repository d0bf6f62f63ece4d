using Keepalive.Agent.Workloads;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Sockets;

/// <summary>One socket as a pass found or left it. Both datapaths emit these and nothing else.</summary>
internal readonly record struct SocketRecord
{
    /// <summary>Inode number of the network namespace.</summary>
    public required ulong Namespace { get; init; }

    /// <summary>The kernel's identity of the socket (SO_COOKIE).</summary>
    public required ulong Cookie { get; init; }

    public required SocketEndpoint Local { get; init; }

    public required SocketEndpoint Remote { get; init; }

    public required TcpState State { get; init; }

    /// <summary>The workload it belongs to, as <see cref="WorkloadName"/> names it: <c>pod:UID</c>, <c>unit:NAME</c>, <c>uid:N</c> or
    /// <c>cgroup:/A/B</c>.</summary>
    public string Workload
    {
        get => field ?? WorkloadName.Unknown;
        init;
    }

    public TcpTimer Timer { get; init; }

    /// <summary>Milliseconds until the timer is due; null if unknown.</summary>
    public uint? TimerExpires { get; init; }

    /// <summary>The number of unanswered probes.</summary>
    public int Unanswered { get; init; }

    /// <summary>Whether it never leaves its network namespace, as its addresses or the sockets of that namespace show.</summary>
    public bool IsLocal { get; init; }

    /// <summary>Milliseconds since anything was received; null if the pass did not read it, or if it is unknown.</summary>
    public uint? Idle { get; init; }

    /// <summary>The smoothed round-trip time in microseconds; null if the pass did not read it, or if it is unknown.</summary>
    public uint? RoundTrip { get; init; }

    /// <summary>The application's values: what the socket had before the agent first changed it. Null if not read.</summary>
    public KeepaliveOptions? Found { get; init; }

    /// <summary>The values in force now, or, with <see cref="SocketOutcome.WouldApply"/>, those that would be.</summary>
    public KeepaliveOptions? Current { get; init; }

    /// <summary>The values the socket really has, even if a dry run shows the values that it would have.</summary>
    public KeepaliveOptions? Actual => Outcome is SocketOutcome.WouldApply or SocketOutcome.WouldRestore ? Replaced : Current;

    /// <summary>Which of its values the socket has itself, whether or not they equal the sysctl's.</summary>
    public OwnValues Own { get; init; }

    /// <summary>The values that <see cref="Current"/> replaced in this pass, if <see cref="Changed"/>.</summary>
    public KeepaliveOptions? Replaced { get; init; }

    /// <summary>TCP_USER_TIMEOUT in milliseconds, or, with <see cref="SocketOutcome.WouldApply"/>, the one that would be in force; 0 if off,
    /// not read or unknown. It overrides the probe count.</summary>
    public int UserTimeout { get; init; }

    /// <summary>The user timeout that <see cref="UserTimeout"/> replaced in this pass, or would replace; null if it is unchanged.</summary>
    public int? ReplacedUserTimeout { get; init; }

    /// <summary>The user timeout the socket really has, even if a dry run shows another.</summary>
    public int ActualUserTimeout => Outcome is SocketOutcome.WouldApply or SocketOutcome.WouldRestore ? ReplacedUserTimeout ?? UserTimeout : UserTimeout;

    /// <summary>Whether its user timeout ends it before its probes are spent.</summary>
    public bool HasShortUserTimeout => IsShort(UserTimeout, Current);

    /// <summary>The same for the values that it really has.</summary>
    public bool HasShortActualUserTimeout => IsShort(ActualUserTimeout, Actual);

    /// <summary>Whether no earlier record of the socket had this user timeout with these values.</summary>
    public bool HasNewUserTimeout { get; init; }

    /// <summary>The rule that selects the socket.</summary>
    public CompiledRule? Rule { get; init; }

    public SocketOutcome Outcome { get; init; }

    /// <summary>The reason, if <see cref="Outcome"/> is <see cref="SocketOutcome.Failed"/> or
    /// <see cref="SocketOutcome.Unreachable"/>.</summary>
    public string? Reason { get; init; }

    /// <summary>Whether something was written to the socket in this pass.</summary>
    public bool Changed { get; init; }

    /// <summary>Whether it was made to send a probe in this pass, before its time.</summary>
    public bool Asked { get; init; }

    /// <summary>The process through which the socket was reached; 0 if none was needed or found.</summary>
    public int Pid { get; init; }

    private static bool IsShort(int timeout, KeepaliveOptions? values) =>
        timeout > 0 && values is { Enabled: true } on && Config.UserTimeout.IsShort(timeout, on.Time, on.Interval, on.Probes);
}

/// <summary>Which values were written to a socket; the others are the namespace's sysctls.</summary>
[Flags]
internal enum OwnValues : byte
{
    /// <summary>Unknown: getsockopt(2) does not show it.</summary>
    None = 0,

    Time = 1,
    Interval = 2,
    Probes = 4,

    /// <summary>The other flags are valid.</summary>
    Known = 8,
}

/// <summary>The state of a socket with respect to the policy.</summary>
internal enum SocketOutcome : byte
{
    /// <summary>No rule selects it.</summary>
    Unmanaged,

    /// <summary>The policy's values are in force.</summary>
    Managed,

    /// <summary>The application enabled keepalive itself and its values stand (<c>existing</c>).</summary>
    Kept,

    /// <summary>The application changed its values after the agent's first look; the agent does not change it from then on.</summary>
    Application,

    /// <summary>To be written once its probes are answered: a write now would send one more and could end the connection.</summary>
    Deferred,

    /// <summary>Not yet connected or accepted, or the search for its process goes on.</summary>
    Pending,

    /// <summary>No descriptor of it was found.</summary>
    Unreachable,

    /// <summary>A call failed.</summary>
    Failed,

    /// <summary>Its own values were restored.</summary>
    Restored,

    /// <summary>A dry run would set it.</summary>
    WouldApply,

    /// <summary>A dry run would restore it.</summary>
    WouldRestore,
}
