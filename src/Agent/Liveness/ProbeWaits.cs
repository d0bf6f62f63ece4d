using System.Runtime.InteropServices;
using Keepalive.Config;
using Keepalive.Linux.Netlink;

namespace Keepalive.Agent.Liveness;

/// <summary>The longest waits of the kernel before a connection's next probe, and the conclusions if nothing was captured by
/// then.</summary>
internal sealed class ProbeWaits
{
    private const long Millisecond = 1_000_000;

    /// <summary>The delay that the capture may add to the time of a probe. The delay of the timer wheel comes on top
    /// (<see cref="TimerWheel"/>).</summary>
    private const long Slack = 500 * Millisecond;

    private readonly Dictionary<long, long> _late = [];

    /// <summary>Whether all probes could have been sent and unanswered since the last sign of the connection. They all fit between two
    /// passes.</summary>
    public static bool IsOutlasted(WatchedConnection connection, long now) =>
        connection is { Time: > 0, Interval: > 0, Limit.Probes: < int.MaxValue, Timer: not (TcpTimer.Retransmit or TcpTimer.ZeroWindowProbe) }
        && now - Math.Max(connection.HeardAt, connection.SeenAt) >= connection.Time + (connection.Limit.Probes * connection.Interval);

    /// <summary>The time after which to ask the kernel about a connection: a probe should have been captured by then.</summary>
    public long DoubtAt(WatchedConnection connection) => connection.Time > 0 && connection.State.Phase != LivenessPhase.Dead
        ? Math.Max(connection.LookAt, connection.SeenAt + Late(Math.Max(connection.Time, connection.Interval)))
        : long.MaxValue;

    /// <summary>Whether the capture sees the connection's packets: one was captured within the time between two probes.</summary>
    public bool IsSeen(WatchedConnection connection, long now) => now - connection.SeenAt <= Late(connection.Interval);

    /// <summary>Returns the longest time that the kernel and the capture may take for a wait, in nanoseconds.</summary>
    public long Late(long wait)
    {
        // Every pass calls this for every connection, and there are few different waits.
        ref var late = ref CollectionsMarshal.GetValueRefOrAddDefault(_late, wait, out var isKnown);
        if (!isKnown)
        {
            var seconds = (int)(wait / (1000 * Millisecond));
            late = Slack + TimerWheel.CommonHz.Max(hz => new TimerWheel(hz).Longest(seconds).Ticks * 100);
        }
        return late;
    }
}
