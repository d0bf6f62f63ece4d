using System.Runtime.InteropServices;
using Keepalive.Config;
using Keepalive.Linux.Netlink;

namespace Keepalive.Agent.Liveness;

/// <summary>How long the kernel may take until a connection's next probe, and what it means when nothing was captured by then.</summary>
internal sealed class ProbeWaits
{
    private const long Millisecond = 1_000_000;

    /// <summary>What the capture may add to the time in which a probe is due, and the timer wheel a part of that time (<see cref="TimerWheel"/>).</summary>
    private const long Slack = 500 * Millisecond;

    private readonly Dictionary<long, long> _late = [];

    /// <summary>Whether there was time for the last probe to go unanswered since anything was known of it: all of them between two passes.</summary>
    public static bool IsOutlasted(WatchedConnection connection, long now) =>
        connection is { Time: > 0, Interval: > 0, Limit: { HasUserTimeout: false, Probes: < int.MaxValue }, Timer: not (TcpTimer.Retransmit or TcpTimer.ZeroWindowProbe) }
        && now - Math.Max(connection.HeardAt, connection.SeenAt) >= connection.Time + (connection.Limit.Probes * connection.Interval);

    /// <summary>Whether the kernel is to be asked: a probe should have been captured by now.</summary>
    public bool IsDoubtful(WatchedConnection connection, long now) =>
        connection.Time > 0 && connection.State.Phase != LivenessPhase.Dead
        && now > Math.Max(connection.LookAt, connection.SeenAt + Late(Math.Max(connection.Time, connection.Interval)));

    /// <summary>Whether the capture sees what it sends: something of it came by within the time of a probe.</summary>
    public bool IsSeen(WatchedConnection connection, long now) => now - connection.SeenAt <= Late(connection.Interval);

    /// <summary>The latest end of a wait of the kernel's, and of what it takes to be told of it, in nanoseconds.</summary>
    public long Late(long wait)
    {
        // Asked of every connection at every pass, and there are few different waits.
        ref var late = ref CollectionsMarshal.GetValueRefOrAddDefault(_late, wait, out var isKnown);
        if (!isKnown)
        {
            var seconds = (int)(wait / (1000 * Millisecond));
            late = Slack + TimerWheel.CommonHz.Max(hz => new TimerWheel(hz).Longest(seconds).Ticks * 100);
        }
        return late;
    }
}
