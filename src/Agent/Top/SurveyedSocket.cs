using Keepalive.Agent.Audit;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Top;

/// <summary>The facts about one connection that the view shows. A survey keeps tens of thousands, so it keeps no whole records.</summary>
internal readonly struct SurveyedSocket
{
    private readonly uint _roundTrip;

    /// <param name="record">The record of a pass.</param>
    /// <param name="finding">Whether it is probed in time.</param>
    public SurveyedSocket(in SocketRecord record, AuditFinding finding)
    {
        Cookie = record.Cookie;
        Local = record.Local;
        Remote = record.Remote;
        Workload = record.Workload;
        Values = record.Actual;
        Pid = record.Pid;
        Unanswered = record.Unanswered;
        IsLocal = record.IsLocal;
        Finding = finding;
        _roundTrip = record.RoundTrip ?? 0;
        if (record is { Timer: TcpTimer.Keepalive, TimerExpires: { } expires } && Values is { Enabled: true } on)
        {
            ProbeWait = 1000L * (Unanswered > 0 ? on.Interval : on.Time);
            NextProbe = expires;
        }
    }

    /// <summary>The kernel's identity of the socket (SO_COOKIE).</summary>
    public ulong Cookie { get; }

    public SocketEndpoint Local { get; }

    public SocketEndpoint Remote { get; }

    public string Workload { get; }

    /// <summary>Its values of keepalive; null if they could not be read.</summary>
    public KeepaliveOptions? Values { get; }

    /// <summary>A process that has it; 0 if unknown.</summary>
    public int Pid { get; }

    /// <summary>The number of unanswered probes.</summary>
    public int Unanswered { get; }

    /// <summary>Whether it never leaves its network namespace.</summary>
    public bool IsLocal { get; }

    /// <summary>Whether it is probed in time, by itself.</summary>
    public AuditFinding Finding { get; }

    /// <summary>Milliseconds to the next probe by the kernel's own timer. Received data postpones it only when the timer fires. Valid if
    /// <see cref="ProbeWait"/> is not 0.</summary>
    public uint NextProbe { get; }

    /// <summary>The length of the whole wait for it in milliseconds; 0 if no probe is due.</summary>
    public long ProbeWait { get; }

    /// <summary>The smoothed round-trip time in milliseconds; null if unknown.</summary>
    public double? RoundTripMs => _roundTrip == 0 ? null : _roundTrip / 1000.0;
}
