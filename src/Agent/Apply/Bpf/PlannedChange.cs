using Keepalive.Agent.Apply.Tracking;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>What is to become of one socket, decided and not yet done.</summary>
/// <param name="Watched">Its namespace.</param>
/// <param name="Socket">The socket.</param>
/// <param name="From">The values the decision was made on; it is not carried out on any others.</param>
/// <param name="Verdict">The decision.</param>
internal readonly record struct PlannedChange(WatchedNamespace Watched, TrackedSocket Socket, KeepaliveOptions From, Verdict Verdict) : ISocketChange
{
    /// <remarks>Where this kernel does not show idle times, a socket may have been idle for long.</remarks>
    public bool IsIdleFor(TimeSpan time) => Socket.Seen.Idle is not { } idle || idle >= time.TotalMilliseconds;
}
