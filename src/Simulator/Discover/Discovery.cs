using System.Diagnostics;
using System.Net.Sockets;
using Keepalive.Config.Balancers;

namespace Keepalive.Simulator.Discover;

/// <summary>Measures the idle timeout between here and one far end.</summary>
/// <remarks>
/// <para>
/// Connections are opened, left idle for different times and tested by a keepalive probe. If no payload was asked for, nothing is sent but
/// SYNs, acknowledgements, probes and FINs. The first idle times are a ladder, up to the first that is not survived. Connections that are
/// younger then become old enough within the gap, and fill it.
/// </para>
/// <para>
/// One connection is the control: it is probed every second. It tells a balancer that forgets from a far end that is gone, shows whether
/// probes restart the clock, and when the far end sends something or closes by itself.
/// </para>
/// </remarks>
internal sealed class Discovery(DiscoverRequest request) : IDisposable
{
    /// <summary>Connections after all, in relation to those at a time.</summary>
    private const int MaxRounds = 4;

    /// <summary>So many intervals between packets of the far end have to be seen.</summary>
    private const int LeastIntervals = 6;

    private static readonly TimeSpan s_tick = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan s_leastWidth = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_planEvery = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_outage = TimeSpan.FromSeconds(1.7);
    private static readonly TimeSpan s_after = TimeSpan.FromSeconds(1.5);
    private static readonly TimeSpan s_syn = TimeSpan.FromSeconds(4);

    private readonly long _began = Stopwatch.GetTimestamp();
    private readonly List<ProbedConnection> _idle = [];
    private readonly List<TimeSpan> _farEndIntervals = [];
    private readonly HashSet<ProbedConnection> _missing = [];
    private readonly Evidence _evidence = new();
    private readonly int _rungs = Math.Max(2, (request.Connections - 1) * 3 / 8);
    private ProbedConnection? _control;
    private ProbedConnection? _again;
    private ProbedConnection? _silent;
    private TimeSpan _heard;
    private TimeSpan _steadySince;
    private TimeSpan _roundTrip;
    private TimeSpan _planned;
    private TimeSpan? _farEndEvent;
    private bool? _opensAnew;
    private bool _lostPackets;
    private int _opened;
    private int _limit = request.Connections;
    private string? _limited;
    private string? _cut;

    /// <summary>The timeout, as far as it is known.</summary>
    public Bracket Timeout => _evidence.Timeout;

    public TimeSpan Elapsed => Stopwatch.GetElapsedTime(_began);

    public DiscoverRequest Request => request;

    private TimeSpan Precision => Timeout.To is { } to && to * request.Precision > s_leastWidth ? to * request.Precision : s_leastWidth;

    /// <summary>How often the far end sends something by itself on idle connections; null if it does not.</summary>
    private TimeSpan? FarEndInterval => _farEndIntervals.Count >= LeastIntervals ? _farEndIntervals.Order().ElementAt(_farEndIntervals.Count / 2) : null;

    /// <summary>Measures until it is precise enough, or nothing was forgotten within the longest idle time.</summary>
    /// <param name="progress">Called often, on the same thread.</param>
    /// <param name="stop">Ends it early: the result has what is known by then.</param>
    public Measurement Run(Action<Discovery> progress, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested && _cut is null)
        {
            var now = Elapsed;
            Open(now);
            PollControl(now);
            PollIdle(now);
            PollAgain(now);
            Plan(now);
            foreach (var one in _idle)
            {
                if (one is { Phase: ProbedPhase.Idle, Target: { } target } && Age(one, now) >= target && one.SincePacket(now) >= TestPlan.Shortest)
                {
                    one.Test(now);
                }
            }
            if (IsDone(now))
            {
                break;
            }
            progress(this);
            Thread.Sleep(s_tick);
        }
        return Result(stop.IsCancellationRequested ? "interrupted" : _cut);
    }

    public void Dispose()
    {
        foreach (var one in (IEnumerable<ProbedConnection?>)[.. _idle, _control, _again, _silent])
        {
            one?.Dispose();
        }
    }

    private TimeSpan Age(ProbedConnection one, TimeSpan now) => _evidence.Idle(one.SincePacket(now), one.SincePayload(now));

    private void Open(TimeSpan now)
    {
        var number = _opened - 1 - _rungs;
        var isDue = _control is null && _opened > 0
            ? _evidence.FarEndCloses is null && !_evidence.IsPayloadOnly
            : _idle.Count + 1 < _limit && _opened < MaxRounds * request.Connections
                && (number < 0 || (Timeout.To is null
                    ? number < request.Connections - 1 - _rungs && now >= TestPlan.Opening(number, request.Connections - 1 - _rungs, request.Until)
                    : Timeout.Width > Precision && _idle.Count(one => one.Target is not null || one.Phase != ProbedPhase.Idle) < 8));
        if (!isDue || !request.Pace.TryTake())
        {
            return;
        }
        try
        {
            var one = ProbedConnection.Begin(request.Remote, now);
            if (_control is null)
            {
                _control = one;
            }
            else
            {
                one.Target = number < 0 && Timeout.To is null ? TestPlan.Rung(_opened - 1, _rungs, request.Until) : null;
                _idle.Add(one);
            }
            _opened++;
        }
        catch (SocketException e)
        {
            Refused(e.SocketErrorCode);
        }
    }

    private void PollControl(TimeSpan now)
    {
        if (_control is not { } control)
        {
            return;
        }
        var wasConnecting = control.Phase == ProbedPhase.Connecting;
        if (control.Poll(now, now, default) is { } seen)
        {
            if (seen.Answer == IdleAnswer.Silent && _evidence.Of(IdleAnswer.Silent) == 0 && Timeout.To is null)
            {
                _evidence.ForgetSince(control.HeardAt);
            }
            _evidence.AddControl(in seen);
        }
        if (control.CameAfter is { } came && _farEndEvent is null && came > TimeSpan.FromSeconds(1))
        {
            _farEndEvent = came;
        }
        if (control.Phase == ProbedPhase.Idle)
        {
            if (wasConnecting)
            {
                Opened(control, now);
                control.Busy();
            }
            if (control.HeardAt > _heard)
            {
                _steadySince = control.HeardAt - _heard > s_outage ? control.HeardAt : _steadySince;
                _heard = control.HeardAt;
            }
            _roundTrip = control.RoundTrip;
            _lostPackets |= control.LostPackets;
            var age = control.SincePayload(now);
            _evidence.ControlAge = age > _evidence.ControlAge ? age : _evidence.ControlAge;
        }
        else if (control.Phase == ProbedPhase.Ended)
        {
            if (control.Failure is { } failure)
            {
                _cut = _opened == 1 ? Words(failure) : $"the far end is gone: {Words(failure)}";
                _evidence.ForgetSince(_heard);
            }
            control.Dispose();
            _control = null;
        }
    }

    private void PollIdle(TimeSpan now)
    {
        var heard = _control is { Phase: ProbedPhase.Idle } ? _heard : now;
        for (var i = _idle.Count - 1; i >= 0; i--)
        {
            var one = _idle[i];
            var wasConnecting = one.Phase == ProbedPhase.Connecting;
            one.LostPackets |= _lostPackets;
            if (one.Poll(now, heard, _steadySince) is { } seen)
            {
                _evidence.Add(in seen);
                _planned = TimeSpan.Zero;
                if (seen.Answer == IdleAnswer.Silent && _silent is null && _opensAnew is null)
                {
                    _silent = one;
                }
            }
            if (wasConnecting && one.Phase == ProbedPhase.Idle)
            {
                Opened(one, now);
            }
            if (one.FarEndSpoke == now)
            {
                _farEndIntervals.Add(one.SpokeAfter);
            }
            Compare(one, now);
            if (one.Phase == ProbedPhase.Ended)
            {
                _idle.RemoveAt(i);
                if (one.Failure is { } failure)
                {
                    Refused(failure);
                }
                if (one != _silent)
                {
                    one.Dispose();
                }
            }
        }
    }

    private void Opened(ProbedConnection one, TimeSpan now)
    {
        if (request.Payload.Length > 0)
        {
            one.Send(request.Payload, now);
        }
    }

    /// <summary>Compares what the far end sent on an idle connection with what it sent on the control.</summary>
    private void Compare(ProbedConnection one, TimeSpan now)
    {
        if (_farEndEvent is not { } at || _missing.Contains(one))
        {
            return;
        }
        if (one.CameAfter is { } came && came > TimeSpan.FromSeconds(1))
        {
            _missing.Add(one);
            _evidence.AddOutside(arrived: true, one.CameAfterIdle);
        }
        else if (one.Phase == ProbedPhase.Idle && one.SincePayload(now) > at + Late(at))
        {
            _missing.Add(one);
            var idle = one.SincePacket(now) - (one.SincePayload(now) - at);
            if (idle > TimeSpan.Zero)
            {
                _evidence.AddOutside(arrived: false, idle);
            }
        }
    }

    /// <summary>How much later than on the control the same may come on another connection.</summary>
    private static TimeSpan Late(TimeSpan at) => (at * 0.05) + TimeSpan.FromSeconds(1);

    /// <summary>Tries a SYN between the ports of a connection that does not answer any more.</summary>
    private void PollAgain(TimeSpan now)
    {
        if (_silent is { } silent && _again is null && request.Pace.TryTake())
        {
            silent.Abort();
            try
            {
                _again = ProbedConnection.Begin(request.Remote, now, silent.Local);
                _opened++;
            }
            catch (SocketException)
            {
                _silent = null;   // the next one that is silent
            }
        }
        if (_again is { } again)
        {
            again.Poll(now, now, default);
            if (again.Phase != ProbedPhase.Connecting || again.Waited(now) > s_syn + (_roundTrip * 6))
            {
                _opensAnew = again.Phase == ProbedPhase.Idle;
                again.Abort();
                (_again, _silent) = (null, null);
            }
        }
    }

    private void Plan(TimeSpan now)
    {
        if (Timeout.To is not { } most || _evidence.IsOutsideOnly || now - _planned < s_planEvery)
        {
            return;
        }
        _planned = now;
        ProbedConnection[] waiting = [.. _idle.Where(one => one.Phase == ProbedPhase.Idle)];
        var targets = Timeout.Width > Precision
            ? TestPlan.Fill([.. waiting.Select(one => Age(one, now))], Timeout.From, most, Precision)
            : new TimeSpan?[waiting.Length];
        for (var i = 0; i < waiting.Length; i++)
        {
            waiting[i].Target = targets[i];
        }
    }

    private bool IsDone(TimeSpan now)
    {
        if (_idle.Any(one => one.Phase == ProbedPhase.Testing))
        {
            return false;
        }
        // Other connections must have had the time to receive what the control received.
        if (_farEndEvent is { } came && now < came + Late(came) + s_after)
        {
            return false;
        }
        if (_evidence.IsContradictory && _opened >= MaxRounds * request.Connections)
        {
            return true;
        }
        if (_evidence.IsOutsideOnly)
        {
            return true;
        }
        if (Timeout.To is not null)
        {
            var isPrecise = Timeout.Width <= Precision || (_opened >= MaxRounds * request.Connections && _idle.All(one => one.Target is null));
            var knowsRefresh = _evidence.IsPayloadOnly || _evidence.ProbesCount || _evidence.FarEndCloses is not null;
            var knowsSyn = _evidence.Of(IdleAnswer.Silent) == 0 || _evidence.Of(IdleAnswer.Silent) < _evidence.Of(IdleAnswer.Reset) || _opensAnew is not null;
            return isPrecise && knowsRefresh && knowsSyn;
        }
        return (now > request.Until && !_idle.Any(one => one.Target is not null))
            || (FarEndInterval is { } every && now > every * 4 && _idle.All(one => one.Target is null || one.Target > every * 0.9));
    }

    private void Refused(SocketError error)
    {
        if (_opened <= 1 || (_idle.Count == 0 && _control is null))
        {
            _cut = Words(error);
            return;
        }
        // A limit on connections: those that are open have to be enough.
        _limit = Math.Max(2, _idle.Count + 1);
        _limited = Words(error);
    }

    private static string Words(SocketError error) => error switch
    {
        SocketError.ConnectionRefused => "the connection was refused",
        SocketError.TimedOut => "the connection attempt was not answered",
        SocketError.ConnectionReset => "the connection was reset at once",
        SocketError.HostUnreachable => "there is no route to the host",
        SocketError.NetworkUnreachable => "the network is unreachable",
        SocketError.TooManyOpenSockets => "no descriptor is left (ulimit -n)",
        SocketError.AddressNotAvailable => "no local port is left",
        _ => new SocketException((int)error).Message,
    };

    private Measurement Result(string? cut)
    {
        var isContradictory = _evidence.IsContradictory;
        return new Measurement
        {
            Request = request,
            Timeout = isContradictory ? default : Timeout,
            Classes = isContradictory ? [] : _evidence.Classes(_opensAnew),
            Refreshes = isContradictory ? [] : _evidence.IsPayloadOnly ? [Refresh.PayloadOnly] : _evidence.ProbesCount ? [Refresh.AnyPacket, Refresh.PerDirection] : [],
            IsContradictory = isContradictory,
            FarEndProbes = FarEndInterval,
            FarEndCloses = _evidence.FarEndCloses,
            Limited = _limited,
            RoundTrip = _roundTrip,
            LostPackets = _lostPackets,
            Connections = _opened,
            Took = Elapsed,
            Cut = cut,
        };
    }
}
