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

/// <summary>The criteria of an audit: the device that forgets connections, its idle timeout, and how quiet a connection must be to
/// count.</summary>
internal sealed class AuditYardstick
{
    /// <summary>The idle timeout on a machine of no known cloud: that of AWS's load balancers and NAT gateways.</summary>
    public const int DefaultIdleTimeout = 350;

    /// <summary>Values to begin with, which are changed as far as the idle timeout needs it. With four probes, an outage of a minute ends no
    /// connection.</summary>
    private static readonly KeepaliveSettings s_preferred = new(7200, 20, 4);

    /// <summary>
    /// Seconds between two probes of a closed window at most: TCP_RTO_MAX, 120 s (net/ipv4/tcp_timer.c, tcp_probe_timer), and the timer's lateness.
    /// </summary>
    private static readonly int s_latestWindowProbe = TimerWheel.CommonHz.Max(static hz => (int)Math.Ceiling(new TimerWheel(hz).Longest(120).TotalSeconds));

    private readonly TimeSpan _quiet;

    /// <param name="balancer">The balancer on the path; null if none is named.</param>
    /// <param name="idleTimeout">The idle timeout on the path, seconds; null for the balancer's.</param>
    /// <param name="quiet">How quiet a connection must be to count.</param>
    /// <param name="machine">The machine, which decides if neither is given; null if it is of no known cloud.</param>
    public AuditYardstick(BalancerPreset? balancer, double? idleTimeout, TimeSpan quiet, CloudMachine? machine = null)
    {
        var isChosen = balancer is null && idleTimeout is null;
        Balancer = isChosen ? machine?.Balancer : balancer;
        IdleTimeout = idleTimeout ?? Balancer?.IdleTimeout ?? DefaultIdleTimeout;
        Machine = machine;
        Why = isChosen ? Explain(machine) : null;
        _quiet = quiet;
    }

    /// <summary>After so many seconds without traffic a connection is forgotten.</summary>
    public double IdleTimeout { get; }

    /// <summary>The device that forgets it; null if no device is named or known.</summary>
    public BalancerPreset? Balancer { get; }

    /// <summary>The machine; null if it is of no known cloud.</summary>
    public CloudMachine? Machine { get; }

    /// <summary>Why this idle timeout was chosen: a clause. Null if it was given.</summary>
    public string? Why { get; }

    private bool CountsPayloadOnly => Balancer?.Refresh == Refresh.PayloadOnly;

    /// <summary>Returns the reason for the idle timeout that is chosen on a machine: a clause.</summary>
    public static string Explain(CloudMachine? machine) => machine is { Balancer: not null }
        ? $"this is {machine.Name}: {machine.Why}"
        : $"{(machine is null ? "the firmware names no known cloud" : $"this is {machine.Name}, and {machine.Why}")}; {DefaultIdleTimeout}s is the idle timeout of AWS's load balancers and NAT gateways";

    /// <summary>Returns values that keep connections, also if two probes in a row are lost; null if no values do.</summary>
    public KeepaliveSettings? Advise() => CountsPayloadOnly ? null : new BalancerVerdict(s_preferred, Balancer ?? BalancerPresets.Unnamed, IdleTimeout).Advise();

    public AuditFinding Judge(in SocketRecord record) => Judge(record.Actual, record.Timer);

    /// <summary>Whether it is quiet enough to be at risk now, or may be.</summary>
    public bool IsQuiet(in SocketRecord record) => record.Idle is not { } idle || idle >= _quiet.TotalMilliseconds;

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
