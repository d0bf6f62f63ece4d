using Keepalive.Agent.Apply.Tracking;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>A decided change of one socket that has not been made yet.</summary>
/// <param name="Watched">Its namespace.</param>
/// <param name="Socket">The socket.</param>
/// <param name="From">The values on which the decision was made. A socket with other values is not changed.</param>
/// <param name="UserTimeout">Its user timeout then; null if it is unknown.</param>
/// <param name="Verdict">The decision.</param>
internal readonly record struct PlannedChange(WatchedNamespace Watched, TrackedSocket Socket, KeepaliveOptions From, int? UserTimeout, Verdict Verdict) : ISocketChange
{
    /// <remarks>If this kernel does not show idle times, every socket that will probe counts.</remarks>
    public bool ProbesAtOnce(TimeSpan spreadOver) =>
        Verdict.Want is { Enabled: true } want && (Socket.Seen.Idle is not { } idle || idle >= TimeSpan.FromSeconds(want.Time).TotalMilliseconds);
}
