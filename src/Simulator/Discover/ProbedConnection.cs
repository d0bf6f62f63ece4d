using System.Net;
using System.Net.Sockets;
using Keepalive.Linux.Sockets;

namespace Keepalive.Simulator.Discover;

/// <summary>A connection that is left idle, and then tested by a keepalive probe.</summary>
/// <remarks>The process may have to wait for a processor between any two lines. So the time is read before and after each look at the socket:
/// what is seen happened after the look before, and not later than the time that is read after.</remarks>
internal sealed class ProbedConnection(IProbeSocket socket, TimeSpan began, Func<TimeSpan> time) : IDisposable
{
    private const int Burst = 3;

    /// <summary>The part of lost packets at which all probes of a burst may be lost.</summary>
    private const double MuchLoss = 0.1;

    private static readonly TimeSpan s_burstGap = TimeSpan.FromMilliseconds(50);

    /// <summary>The time in which the first probes of a test are sent.</summary>
    public static readonly TimeSpan Spread = s_burstGap * (Burst - 1);

    private static readonly TimeSpan s_connecting = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_answer = TimeSpan.FromSeconds(0.9);

    /// <summary>A far end that closes may say so first.</summary>
    private static readonly TimeSpan s_goodbye = TimeSpan.FromSeconds(0.5);

    private static readonly TimeSpan s_synAgain = TimeSpan.FromSeconds(1.5);
    /// <summary>A far end sends its SYN again after 1 and 3 s.</summary>
    private static readonly TimeSpan s_handshake = TimeSpan.FromSeconds(3.5);

    private static readonly TimeSpan s_again = TimeSpan.FromSeconds(0.6);

    /// <summary>The kernel's clock in TCP_INFO ticks 100 to 1,000 times a second.</summary>
    private static readonly TimeSpan s_kernelTick = TimeSpan.FromMilliseconds(30);

    /// <summary>Payload that was lost is sent again after 0.2 s, 0.6 s and 1.4 s.</summary>
    private static readonly TimeSpan s_mostLate = TimeSpan.FromSeconds(1.5);

    private TimeSpan _polled;
    private TimeSpan _tested;
    private TimeSpan _firstSent;
    private TimeSpan _lastSent;
    private uint _segments;
    private ulong _received;
    private int _sent;
    private int _unanswered;
    private TimeSpan _seenLate;
    private TimeSpan _payloadSeenLate;
    /// <summary>Whether payload or a probe was sent: what comes then may be an answer.</summary>
    private bool _hasSent;
    private TimeSpan _payloadLate;
    private (TimeSpan Packet, TimeSpan Payload, TimeSpan SeenLate, TimeSpan Late) _beforePayload;
    private readonly List<TimeSpan> _heard = [];

    public IPEndPoint? Local { get; private set; }

    public ProbedPhase Phase { get; private set; }

    /// <summary>Why it could not be opened; null if it was.</summary>
    public SocketError? Failure { get; private set; }

    public TimeSpan BeganAt => began;

    /// <summary>When it was opened.</summary>
    public TimeSpan OpenedAt { get; private set; }

    /// <summary>When the last packet was seen or sent on it.</summary>
    public TimeSpan LastPacket { get; private set; }

    /// <summary>When payload was last seen or sent on it, or it was opened.</summary>
    public TimeSpan LastPayload { get; private set; }

    /// <summary>When the far end last sent something by itself; null if it never did.</summary>
    public TimeSpan? FarEndSpoke { get; private set; }

    /// <summary>How often it did so.</summary>
    public int Spoken { get; private set; }

    /// <summary>The time without anything that the far end sent by itself, before that; null if it was the first.</summary>
    public TimeSpan? SpokeAfter { get; private set; }

    /// <summary>Whether that was payload, and no keepalive probe.</summary>
    public bool SpokePayload { get; private set; }

    /// <summary>The times since payload at which the far end sent something by itself.</summary>
    public IReadOnlyList<TimeSpan> Heard => _heard;

    /// <summary>Null if the handshake lost packets: it is then no measure.</summary>
    public TimeSpan? RoundTrip { get; private set; }

    /// <summary>Whether a probe was ever left without an answer on a connection that lived on.</summary>
    public bool LostPackets { get; private set; }

    /// <summary>How many probes were sent while the one before had no answer.</summary>
    public int Lost { get; private set; }

    /// <summary>Whether probes are sent every second, so that it is never idle.</summary>
    public bool IsControl { get; private set; }

    /// <summary>When the far end last acknowledged something on a connection that is probed.</summary>
    public TimeSpan HeardAt { get; private set; }

    /// <summary>The time since payload, when the far end last sent or closed by itself, on a control first; null if it did not.</summary>
    public TimeSpan? CameAfter { get; private set; }

    /// <summary>The idle time before that.</summary>
    public TimeSpan CameAfterIdle { get; private set; }

    /// <summary>The idle time at which to test it; null for none.</summary>
    public TimeSpan? Target { get; set; }

    /// <summary>When it was tested last.</summary>
    public TimeSpan TestedAt => _tested;

    /// <summary>How often it was tested.</summary>
    public int Tests { get; private set; }

    /// <summary>When the first payload came, after this end had sent some, or after it was opened; null if none came.</summary>
    public TimeSpan? AnsweredAfter { get; private set; }

    /// <summary>Whether something had to be sent again.</summary>
    public bool HasRetransmitted { get; private set; }

    /// <summary>Whether all payload that was sent on it has been acknowledged.</summary>
    public bool IsAcknowledged { get; private set; } = true;

    /// <summary>The time since it began to connect.</summary>
    public TimeSpan Waited(TimeSpan now) => now - began;

    public TimeSpan SincePacket(TimeSpan now) => now - LastPacket;

    public TimeSpan SincePayload(TimeSpan now) => now - LastPayload;

    /// <summary>Looks at what the kernel knows of it.</summary>
    /// <returns>The observation; null if there was none.</returns>
    /// <param name="way">The state of the connections that are probed all the time: one is silent only while others are not.</param>
    public Observation? Poll(in WayState way)
    {
        if (Phase == ProbedPhase.Ended)
        {
            return null;
        }
        var before = time();
        var info = socket.Read();
        var now = time();
        IsAcknowledged = info.IsAcknowledged;
        var observed = Phase switch
        {
            ProbedPhase.Connecting => Connecting(in info, before, now),
            ProbedPhase.Testing => Testing(in info, before, now, in way),
            _ => Idle(in info, before, now, in way),
        };
        (_segments, _received, _polled) = (info.SegmentsReceived, info.Received, before);
        return observed;
    }

    /// <summary>Sends a probe, and further ones until something answers.</summary>
    public void Test(TimeSpan now)
    {
        (Phase, _tested, _sent, Target, _hasSent) = (ProbedPhase.Testing, now, 1, null, true);
        Tests++;
        socket.Probe();
        _lastSent = _firstSent = time();
    }

    /// <summary>Ends a test without a result.</summary>
    public void Untest(TimeSpan now)
    {
        socket.Rest();
        (Phase, LastPacket) = (ProbedPhase.Idle, now);
    }

    /// <summary>Sends a probe every second from now on.</summary>
    public void Busy(TimeSpan now)
    {
        (IsControl, HeardAt) = (true, now);
        socket.Probe();
    }

    /// <summary>Sends payload.</summary>
    public void Send(ReadOnlySpan<byte> payload)
    {
        var before = time();
        socket.Send(payload);
        IsAcknowledged = false;
        LastPacket = LastPayload = time();
        _seenLate = _payloadSeenLate = LastPacket - before;
        (_payloadLate, _hasSent) = (TimeSpan.Zero, true);
    }

    /// <summary>Ends it with a reset, so that its port can be used again.</summary>
    public void Abort()
    {
        Phase = ProbedPhase.Ended;
        socket.Abort();
    }

    public void Dispose()
    {
        Phase = ProbedPhase.Ended;
        socket.Dispose();
    }

    private Observation? Connecting(in TcpInfo info, TimeSpan before, TimeSpan now)
    {
        if (info.State == TcpState.SynSent && now - began < s_connecting)
        {
            return null;
        }
        if (info.State is not (TcpState.Established or TcpState.CloseWait))
        {
            var error = socket.Error;
            Failure = error == SocketError.Success ? SocketError.TimedOut : error;
            Phase = ProbedPhase.Ended;
            return null;
        }
        Local = socket.Local;
        OpenedAt = LastPacket = LastPayload = Later(began, now - info.SinceAcknowledgement);
        // The last packet of the handshake is this end's. A clock that only payload restarts may run since the first.
        (_seenLate, _payloadSeenLate) = (now - before, now - began);
        _beforePayload = (OpenedAt, OpenedAt, _payloadSeenLate, TimeSpan.Zero);
        RoundTrip = info.Retransmissions == 0 ? info.RoundTrip : null;
        Phase = ProbedPhase.Idle;
        return null;
    }

    private Observation? Idle(in TcpInfo info, TimeSpan before, TimeSpan now, in WayState way)
    {
        var idle = SincePacket(now);
        if (info.State != TcpState.Established)
        {
            if (now - LastPayload < s_goodbye)
            {
                (LastPacket, LastPayload, _payloadSeenLate, _payloadLate) = _beforePayload;
            }
            // A reset may answer one of the probes, so it is not what the far end did by itself.
            if (info.State == TcpState.CloseWait && !(IsControl && CameAfter is not null))
            {
                (CameAfter, CameAfterIdle) = (SincePayload(now), SincePacket(now));
            }
            return End(info.State == TcpState.CloseWait ? IdleAnswer.ClosedByItself : IdleAnswer.ResetByItself, now, now - _polled + way.RoundTrip);
        }
        var isPayload = info.Received != _received;
        var isSpoken = isPayload || (info.SegmentsReceived != _segments && !IsAnswer(in info, now));
        // Within its first second, a far end sends its SYN again if the acknowledgement was lost.
        if (isSpoken && (isPayload || now - OpenedAt > s_synAgain) && idle + (IsControl ? s_answer : TimeSpan.Zero) > s_answer + (way.RoundTrip * 8))
        {
            if (!IsControl || CameAfter is null)
            {
                (CameAfter, CameAfterIdle) = (SincePayload(now), idle);
            }
            (SpokeAfter, FarEndSpoke, SpokePayload) = (FarEndSpoke is { } last ? now - Later(last, LastPayload) : null, now, isPayload);
            Spoken++;
            _heard.Add(SincePayload(now));
        }
        else if (isPayload)
        {
            _heard.Add(SincePayload(now));
        }
        if (IsControl)
        {
            LostPackets |= _unanswered > 1 && info.UnansweredProbes == 0;
            // Those that were never answered may have met a balancer that has dropped the connection.
            Lost += info.UnansweredProbes == 0 ? Math.Max(0, _unanswered - 1) : 0;
            _unanswered = info.UnansweredProbes;
            HeardAt = Later(HeardAt, before - info.SinceAcknowledgement);
            if (info.SinceAcknowledgement > WayState.Gap * 1.5 && now - _lastSent > s_again)
            {
                _lastSent = now;
                socket.Probe();
            }
            var silence = way.Silence * 1.5;
            if (info.SinceAcknowledgement > silence && way.Heard > HeardAt + silence - WayState.Gap && !way.IsDeaf)
            {
                return End(IdleAnswer.Silent, HeardAt + TimeSpan.FromSeconds(1.2), TimeSpan.FromSeconds(1.2));
            }
            LastPacket = Later(LastPacket, HeardAt);
        }
        if (isPayload)
        {
            _beforePayload = (LastPacket, LastPayload, _payloadSeenLate, _payloadLate);
        }
        if (info.SegmentsReceived != _segments)
        {
            (LastPacket, _seenLate) = (now, now - _polled);
            if (!isPayload && !_hasSent && !IsControl && AnsweredAfter is null && now - OpenedAt < s_handshake)
            {
                // If the end of the handshake was lost, the connection is open at the far end only now, and its clock starts.
                (LastPayload, _payloadSeenLate) = (now, now - began);
            }
        }
        if (isPayload)
        {
            AnsweredAfter ??= now - LastPayload;
            ReceivedPayload(now);
            socket.Drain();
        }
        HasRetransmitted |= info.Retransmissions > 0;
        return null;
    }

    /// <summary>Whether what was received is an acknowledgement. If not, it is a probe of the far end, or its SYN again.</summary>
    /// <remarks>The timers of both kernels tick alike, so the far end's probe often comes with an answer to one of this end. There is no
    /// more than one answer between two looks.</remarks>
    private bool IsAnswer(in TcpInfo info, TimeSpan now) => IsControl
        ? info.SegmentsReceived == _segments + 1 && now - info.SinceAcknowledgement > HeardAt + (s_again / 2)
        : info.SinceAcknowledgement <= now - _polled + s_kernelTick;

    private Observation? Testing(in TcpInfo info, TimeSpan before, TimeSpan now, in WayState way)
    {
        var waited = now - _tested;
        if (info.State != TcpState.Established)
        {
            return info.State == TcpState.CloseWait
                ? End(IdleAnswer.ClosedByItself, now, now - _tested + way.RoundTrip)
                : End(IdleAnswer.Reset, _lastSent, _lastSent - _tested, way.RoundTrip);
        }
        if (info.SinceAcknowledgement < before - _tested && info.UnansweredProbes == 0)
        {
            LostPackets |= _sent > 1 && waited > (way.RoundTrip * 4) + s_burstGap;
            socket.Rest();
            var alive = new Observation(IdleAnswer.Alive, _tested, SincePacket(_tested), SincePayload(_tested), default) { Age = _tested - OpenedAt, Heard = [.. _heard], IsFirst = Tests == 1 };
            (Phase, LastPacket, _seenLate) = (ProbedPhase.Idle, now, now - _polled);
            if (info.Received != _received)
            {
                _heard.Add(SincePayload(now));
                _beforePayload = (LastPacket, LastPayload, _payloadSeenLate, _payloadLate);
                ReceivedPayload(now);
                socket.Drain();
            }
            return alive;
        }
        if (waited > (_sent < Burst ? s_burstGap * _sent : s_again * (_sent - Burst + 1)))
        {
            _sent++;
            socket.Probe();
            _lastSent = time();
        }
        return now - Later(_tested, way.SteadySince) > way.Silence && way.IsHeard(now)
            ? Silent(way.Loss > MuchLoss ? s_again : Spread, way.RoundTrip)
            : null;
    }

    /// <summary>Ends it. The first probes may have been lost.</summary>
    private Observation Silent(TimeSpan spread, TimeSpan roundTrip) => End(IdleAnswer.Silent, _firstSent + spread, _firstSent + spread - _tested, roundTrip);

    private void ReceivedPayload(TimeSpan now)
    {
        var since = now - LastPayload;
        (LastPayload, _payloadSeenLate, _payloadLate) = (now, now - _polled, since < s_mostLate ? since : s_mostLate);
    }

    /// <summary>Ends it. Packets pass a box that is far away later than they are sent, and answers sooner than they are received.</summary>
    private Observation End(IdleAnswer answer, TimeSpan at, TimeSpan blur, TimeSpan away = default)
    {
        Phase = ProbedPhase.Ended;
        var late = Later(_seenLate, _payloadSeenLate);
        return new Observation(answer, at, SincePacket(at) + away + _seenLate, SincePayload(at) + away + _payloadSeenLate, blur + away + late, _payloadLate)
        {
            Age = at - OpenedAt,
            Opening = OpenedAt - began,
            Heard = [.. _heard],
            IsFirst = Tests <= 1,
        };
    }

    private static TimeSpan Later(TimeSpan one, TimeSpan other) => one > other ? one : other;
}

/// <summary>The way to the far end, as the connections show it that are probed all the time.</summary>
/// <param name="Heard">When the far end last answered.</param>
/// <param name="SteadySince">Since when it has answered without a gap: after an outage, the next probe of a test may come later.</param>
/// <param name="RoundTrip">The round trip of connections that lost nothing.</param>
/// <param name="IsDeaf">Whether probes are not answered at all.</param>
/// <param name="IsLossy">Whether packets are lost.</param>
internal readonly record struct WayState(TimeSpan Heard, TimeSpan SteadySince, TimeSpan RoundTrip, bool IsDeaf, bool IsLossy)
{
    /// <summary>A connection is called silent after so long. A far end answers one probe in half a second (tcp_invalid_ratelimit), so in this
    /// time seven to ten are asked for: that all are lost is unlikely.</summary>
    public TimeSpan Silence => TimeSpan.FromSeconds(!IsLossy ? 4.5 : Math.Max(6.5, 0.6 * Math.Log(0.0001) / Math.Log(Math.Min(0.7, Loss * 1.2)))) + (RoundTrip * 6);

    /// <summary>The part of probes that got no answer, as far as is known.</summary>
    public double Loss { get; init; }

    /// <summary>Probes are sent every second, and the kernel's timers are late by up to an eighth.</summary>
    public static readonly TimeSpan Gap = TimeSpan.FromSeconds(1.7);

    /// <summary>Whether the far end answers now.</summary>
    public bool IsHeard(TimeSpan now) => now - Heard < Gap + (RoundTrip * 2) && !IsDeaf;
}

/// <summary>How far a connection is.</summary>
internal enum ProbedPhase
{
    Connecting,
    Idle,
    Testing,
    Ended,
}
