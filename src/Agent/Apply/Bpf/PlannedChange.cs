using Keepalive.Agent.Apply.Tracking;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>A decided change of one socket that has not been made yet.</summary>
/// <param name="Watched">Its namespace.</param>
/// <param name="Socket">The socket.</param>
/// <param name="Decision">The decision.</param>
internal readonly record struct PlannedChange(WatchedNamespace Watched, TrackedSocket Socket, Decision Decision) : ISocketChange
{
    /// <remarks>If this kernel does not show idle times, every socket that will probe counts.</remarks>
    public bool ProbesAtOnce(TimeSpan spreadOver) =>
        Decision.Verdict.Want is { Enabled: true } want && (Socket.Seen.Idle is not { } idle || idle >= TimeSpan.FromSeconds(want.Time).TotalMilliseconds);
}

/// <summary>A decision about sockets with the same values. A start decides about all sockets of the node, and mostly in the same way: they refer to
/// one object.</summary>
/// <param name="from">The values on which the decision was made. A socket with other values is not changed.</param>
/// <param name="userTimeout">The user timeout then; null if it is unknown.</param>
/// <param name="verdict">What was decided.</param>
internal sealed class Decision(KeepaliveOptions from, int? userTimeout, in Verdict verdict)
{
    private readonly Verdict _verdict = verdict;

    public KeepaliveOptions From { get; } = from;

    public int? UserTimeout { get; } = userTimeout;

    public ref readonly Verdict Verdict => ref _verdict;

    /// <summary>The values of such a socket, as the kernel's programs compare them.</summary>
    public BpfAbi.ka_values Expected { get; } = BpfAbi.ka_values.From(from, userTimeout);

    /// <summary>The values to write.</summary>
    public BpfAbi.ka_values Wanted { get; } = BpfAbi.ka_values.From(verdict.Want, verdict.UserTimeout ?? userTimeout);

    /// <summary>Whether it is the same decision.</summary>
    public bool Equals(in KeepaliveOptions from, int? userTimeout, in Verdict verdict) =>
        From == from && UserTimeout == userTimeout && _verdict == verdict;
}
