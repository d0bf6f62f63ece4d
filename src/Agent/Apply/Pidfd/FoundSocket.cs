using Keepalive.Agent.Apply.Tracking;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>A socket that was found and can be changed.</summary>
/// <param name="Watched">Its namespace.</param>
/// <param name="Socket">The socket.</param>
internal readonly record struct FoundSocket(WatchedNamespace Watched, TrackedSocket Socket) : ISocketChange
{
    /// <remarks>If the dump did not ask for idle times, the sockets to be set are new: none of them is due. The socket's own values are not
    /// known yet, so without the policy's time nothing is known of the probe.</remarks>
    public bool ProbesAtOnce(TimeSpan spreadOver) =>
        Socket.Seen.Idle >= (Socket.Standing.Rule?.Settings.Time is { } seconds ? TimeSpan.FromSeconds(seconds) : spreadOver).TotalMilliseconds;
}
