using Keepalive.Agent.Sockets;
using Keepalive.Config;
using Keepalive.Config.Balancers;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Audit;

/// <summary>Why a connection is, or is not, kept through a balancer.</summary>
internal enum AuditFinding
{
    /// <summary>It is probed in time.</summary>
    Kept,

    /// <summary>It is not probed in time itself, but its other end, on this node too, does it.</summary>
    KeptByPeer,

    /// <summary>It is probed, but the balancer may have forgotten it by then.</summary>
    TooLate,

    /// <summary>Nothing probes it.</summary>
    NoKeepalive,

    /// <summary>It is probed or not, and the balancer counts only payload.</summary>
    PayloadNeeded,

    /// <summary>Its values could not be read.</summary>
    Unknown,
}

/// <summary>The criteria of an audit: the balancer, its idle timeout, and how quiet a connection must be to count.</summary>
internal sealed class AuditYardstick(BalancerPreset? balancer, int? idleTimeout, int otherwise, TimeSpan quiet)
{
    /// <summary>
    /// Seconds between two probes of a closed window at most: TCP_RTO_MAX, 120 s (net/ipv4/tcp_timer.c, tcp_probe_timer), and the timer's lateness.
    /// </summary>
    private static readonly int s_latestWindowProbe = TimerWheel.CommonHz.Max(static hz => (int)Math.Ceiling(new TimerWheel(hz).Longest(120).TotalSeconds));

    /// <summary>After so many seconds without traffic a connection is forgotten.</summary>
    public int IdleTimeout { get; } = idleTimeout ?? balancer?.IdleTimeout ?? otherwise;

    public BalancerPreset? Balancer => balancer;

    private bool CountsPayloadOnly => balancer?.Refresh == Refresh.PayloadOnly;

    public AuditFinding Judge(in SocketRecord record) => Judge(record.Actual, record.Timer);

    /// <summary>Whether it is quiet enough to be at risk now, or may be.</summary>
    public bool IsQuiet(in SocketRecord record) => record.Idle is not { } idle || idle >= quiet.TotalMilliseconds;

    internal AuditFinding Judge(KeepaliveOptions? options, TcpTimer timer) => options switch
    {
        _ when CountsPayloadOnly => AuditFinding.PayloadNeeded,
        // The kernel probes a closed window itself.
        _ when timer == TcpTimer.ZeroWindowProbe && IdleTimeout > s_latestWindowProbe => AuditFinding.Kept,
        { Enabled: false } => AuditFinding.NoKeepalive,
        { } on => new KeepaliveSchedule(new KeepaliveSettings(on.Time, on.Interval, on.Probes)).Survives(TimeSpan.FromSeconds(IdleTimeout), 0)
            ? AuditFinding.Kept : AuditFinding.TooLate,
        // A connection with keepalive on and nothing to send always has the timer running.
        null => timer == TcpTimer.None ? AuditFinding.NoKeepalive : AuditFinding.Unknown,
    };
}
