using System.Net;
using System.Net.Sockets;

namespace Keepalive.Simulator.Discover;

/// <summary>A connection that is left idle, and then tested by a keepalive probe.</summary>
/// <remarks>
/// The kernel sends a probe at once when TCP_KEEPIDLE is written on a socket that has been idle for longer (tcp_sock_set_keepidle in
/// net/ipv4/tcp.c), so the lateness of its timers does not blur the result. TCP_INFO shows what comes back.
/// </remarks>
internal sealed class ProbedConnection : IDisposable
{
    private const int Tcp = 6, KeepIdle = 4, KeepInterval = 5, KeepCount = 6, MaxProbes = 127;
    private const int Burst = 3;

    private static readonly TimeSpan s_connecting = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_silence = TimeSpan.FromSeconds(2.6);
    private static readonly TimeSpan s_answer = TimeSpan.FromSeconds(0.9);
    private static readonly TimeSpan s_burstGap = TimeSpan.FromMilliseconds(50);

    private readonly Socket _socket;
    private readonly TimeSpan _began;
    private TimeSpan _polled;
    private TimeSpan _tested;
    private uint _segments;
    private ulong _received;
    private int _sent;

    private ProbedConnection(Socket socket, IPEndPoint remote, TimeSpan now) => (_socket, Remote, _began, _polled) = (socket, remote, now, now);

    public IPEndPoint Remote { get; }

    public IPEndPoint? Local { get; private set; }

    public ProbedPhase Phase { get; private set; }

    /// <summary>Why it could not be opened; null if it was.</summary>
    public SocketError? Failure { get; private set; }

    /// <summary>When it was opened.</summary>
    public TimeSpan OpenedAt { get; private set; }

    /// <summary>When the last packet was seen or sent on it.</summary>
    public TimeSpan LastPacket { get; private set; }

    /// <summary>When payload was last seen or sent on it, or it was opened.</summary>
    public TimeSpan LastPayload { get; private set; }

    /// <summary>When the far end last sent something by itself while it was idle; null if it never did.</summary>
    public TimeSpan? FarEndSpoke { get; private set; }

    /// <summary>The idle time before that.</summary>
    public TimeSpan SpokeAfter { get; private set; }

    public TimeSpan RoundTrip { get; private set; }

    /// <summary>Whether a probe was ever left without an answer on a connection that lived on.</summary>
    public bool LostPackets { get; set; }

    /// <summary>Whether probes are sent every second, so that it is never idle.</summary>
    public bool IsControl { get; private set; }

    /// <summary>When the far end last acknowledged something on a connection that is probed.</summary>
    public TimeSpan HeardAt { get; private set; }

    /// <summary>The time since payload, when the last payload or the FIN came; null if none did.</summary>
    public TimeSpan? CameAfter { get; private set; }

    /// <summary>The idle time before that.</summary>
    public TimeSpan CameAfterIdle { get; private set; }

    /// <summary>The idle time at which to test it; null for none.</summary>
    public TimeSpan? Target { get; set; }

    /// <summary>Begins to connect.</summary>
    /// <param name="remote">The far end.</param>
    /// <param name="now">The time.</param>
    /// <param name="local">The local end; null for any.</param>
    /// <exception cref="SocketException">No descriptor or no port is left, or there is no route.</exception>
    public static ProbedConnection Begin(IPEndPoint remote, TimeSpan now, IPEndPoint? local = null)
    {
        var socket = new Socket(remote.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { Blocking = false };
        try
        {
            if (local is not null)
            {
                socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
                socket.Bind(local);
            }
            socket.Connect(remote);
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.WouldBlock or SocketError.InProgress)
        {
        }
        catch
        {
            socket.Dispose();
            throw;
        }
        return new ProbedConnection(socket, remote, now);
    }

    /// <summary>The time since it began to connect.</summary>
    public TimeSpan Waited(TimeSpan now) => now - _began;

    public TimeSpan SincePacket(TimeSpan now) => now - LastPacket;

    public TimeSpan SincePayload(TimeSpan now) => now - LastPayload;

    /// <summary>Looks at what the kernel knows of it.</summary>
    /// <returns>What was observed; null if nothing was.</returns>
    /// <param name="now">The time.</param>
    /// <param name="heard">When the far end last answered on another connection: a connection is silent only if others are not.</param>
    /// <param name="steady">Since when the far end has answered there without a gap: after an outage, this connection's next probe may come
    /// later than the other's.</param>
    public Observation? Poll(TimeSpan now, TimeSpan heard, TimeSpan steady)
    {
        if (Phase == ProbedPhase.Ended)
        {
            return null;
        }
        var info = TcpInfo.Read(_socket);
        var observed = Phase switch
        {
            ProbedPhase.Connecting => Connecting(in info, now),
            ProbedPhase.Testing => Testing(in info, now, heard, steady),
            _ => Idle(in info, now),
        };
        (_segments, _received, _polled) = (info.SegmentsReceived, info.Received, now);
        return observed;
    }

    /// <summary>Sends a probe, and further ones until something answers.</summary>
    public void Test(TimeSpan now)
    {
        (Phase, _tested, _sent, Target) = (ProbedPhase.Testing, now, 1, null);
        Option(KeepInterval, 1);
        Option(KeepCount, MaxProbes);
        _socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        Option(KeepIdle, 1);
    }

    /// <summary>Sends a probe every second from now on.</summary>
    public void Busy()
    {
        IsControl = true;
        Option(KeepInterval, 1);
        Option(KeepCount, MaxProbes);
        Option(KeepIdle, 1);
        _socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
    }

    /// <summary>Sends payload.</summary>
    public void Send(ReadOnlySpan<byte> text, TimeSpan now)
    {
        _socket.Send(text, SocketFlags.None, out _);
        LastPacket = LastPayload = now;
    }

    /// <summary>Ends it with a reset, so that its port can be used again.</summary>
    public void Abort()
    {
        _socket.LingerState = new LingerOption(true, 0);
        Dispose();
    }

    public void Dispose()
    {
        Phase = ProbedPhase.Ended;
        _socket.Dispose();
    }

    private void Option(int name, int value) => _socket.SetRawSocketOption(Tcp, name, BitConverter.GetBytes(value));

    private Observation? Connecting(in TcpInfo info, TimeSpan now)
    {
        if (info.State == TcpInfo.SynSent && now - _began < s_connecting)
        {
            return null;
        }
        if (info.State is not (TcpInfo.Established or TcpInfo.CloseWait))
        {
            var error = (SocketError)(_socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.Error) ?? 0);
            Failure = error == SocketError.Success ? SocketError.TimedOut : error;
            Phase = ProbedPhase.Ended;
            return null;
        }
        Local = (IPEndPoint?)_socket.LocalEndPoint;
        OpenedAt = LastPacket = LastPayload = Later(_began, now - info.SinceAcknowledgement);
        RoundTrip = info.RoundTrip;
        Phase = ProbedPhase.Idle;
        return null;
    }

    private Observation? Idle(in TcpInfo info, TimeSpan now)
    {
        var idle = SincePacket(now);
        if (info.State != TcpInfo.Established)
        {
            (CameAfter, CameAfterIdle) = (SincePayload(now), SincePacket(now));
            return End(info.State == TcpInfo.CloseWait ? IdleAnswer.ClosedByItself : IdleAnswer.ResetByItself, now, now - _polled);
        }
        if (IsControl)
        {
            LostPackets |= info.UnansweredProbes > 1;
            HeardAt = now - info.SinceAcknowledgement;
            if (info.SinceAcknowledgement > s_silence + (RoundTrip * 6) + TimeSpan.FromSeconds(3))
            {
                return End(IdleAnswer.Silent, now - info.SinceAcknowledgement + TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(2));
            }
            LastPacket = now - Earlier(info.SinceAcknowledgement, SincePacket(now));
        }
        else if (info.SegmentsReceived != _segments)
        {
            // Packets soon after one of this end are answers to it.
            if (idle > s_answer + (RoundTrip * 8))
            {
                (FarEndSpoke, SpokeAfter) = (now, idle);
            }
            LastPacket = now;
        }
        if (info.Received != _received)
        {
            (CameAfter, CameAfterIdle) = (SincePayload(now), idle);
            LastPayload = LastPacket = now;
            Drain();
        }
        return null;
    }

    private Observation? Testing(in TcpInfo info, TimeSpan now, TimeSpan heard, TimeSpan steady)
    {
        var waited = now - _tested;
        if (info.State != TcpInfo.Established)
        {
            return End(info.State == TcpInfo.CloseWait ? IdleAnswer.ClosedByItself : IdleAnswer.Reset, _tested, TimeSpan.Zero);
        }
        if (info.SinceAcknowledgement < waited && info.UnansweredProbes == 0)
        {
            var alive = new Observation(IdleAnswer.Alive, _tested, SincePacket(_tested), SincePayload(_tested), RoundTrip);
            LostPackets |= _sent > 1 && waited > RoundTrip * 4;
            _socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, false);
            (Phase, LastPacket) = (ProbedPhase.Idle, now);
            return alive;
        }
        if (_sent < Burst && waited > (s_burstGap + (RoundTrip * 3)) * _sent)
        {
            // Written again, it makes the kernel send another probe at once.
            _sent++;
            Option(KeepIdle, 1);
        }
        return now - Later(_tested, steady) > s_silence + (RoundTrip * 6) && heard > _tested + RoundTrip
            ? End(IdleAnswer.Silent, LostPackets ? _tested + ((s_burstGap + (RoundTrip * 3)) * (Burst - 1)) : _tested, TimeSpan.Zero)
            : null;
    }

    private Observation End(IdleAnswer answer, TimeSpan at, TimeSpan blur)
    {
        Phase = ProbedPhase.Ended;
        return new Observation(answer, at, SincePacket(at), SincePayload(at), blur);
    }

    private void Drain()
    {
        Span<byte> buffer = stackalloc byte[4096];
        while (_socket.Receive(buffer, SocketFlags.None, out var error) > 0 && error == SocketError.Success)
        {
        }
    }

    private static TimeSpan Earlier(TimeSpan one, TimeSpan other) => one < other ? one : other;

    private static TimeSpan Later(TimeSpan one, TimeSpan other) => one > other ? one : other;
}

/// <summary>How far a connection is.</summary>
internal enum ProbedPhase
{
    Connecting,
    Idle,
    Testing,
    Ended,
}
