using Keepalive.Agent.Apply.Tracking;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>A socket that was found and can be changed.</summary>
/// <param name="Watched">Its namespace.</param>
/// <param name="Socket">The socket.</param>
internal readonly record struct FoundSocket(WatchedNamespace Watched, TrackedSocket Socket) : ISocketChange
{
    /// <remarks>If the dump did not ask for idle times, the sockets to be set are new: none of them counts as idle.</remarks>
    public bool IsIdleFor(TimeSpan time) => Socket.Seen.Idle >= time.TotalMilliseconds;
}
