using System.Net;
using System.Net.Sockets;
using Keepalive.Config.Balancers;
using Keepalive.Linux.Sockets;
using Keepalive.Simulator.Discover;

namespace Keepalive.Simulator.Tests.Discover;

/// <summary>A clock that moves when somebody waits.</summary>
internal sealed class WaitingClock : TimeProvider
{
    private readonly PriorityQueue<Action, (long, int)> _events = new();
    private long _now;
    private int _number;

    public TimeSpan Now => TimeSpan.FromTicks(_now);

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => _now;

    public void At(TimeSpan when, Action action) => _events.Enqueue(action, (Math.Max(_now, when.Ticks), _number++));

    public void After(double seconds, Action action) => At(Now + TimeSpan.FromSeconds(seconds), action);

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var until = _now + Math.Max(0, dueTime.Ticks);
        while (_events.TryPeek(out var action, out var at) && at.Item1 <= until)
        {
            _events.Dequeue();
            _now = at.Item1;
            action();
        }
        _now = until;
        callback(state);
        return new Elapsed();
    }

    private sealed class Elapsed : ITimer
    {
        public bool Change(TimeSpan dueTime, TimeSpan period) => false;

        public void Dispose()
        {
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}

/// <summary>A box and a far end behind it, in virtual time: handshakes, probes and their rate limit, retransmissions, loss.</summary>
internal sealed class SimulatedWay(WaitingClock clock, int seed)
{
    private readonly Random _random = new(seed);
    private readonly List<Connection> _all = [];

    /// <summary>Seconds; null if the box never drops connections.</summary>
    public double? Timeout { get; init; }

    public ExpiryClass Expiry { get; init; } = ExpiryClass.SilentDrop;

    public bool IsPayloadOnly { get; init; }

    /// <summary>A router that translates addresses resets a far end that sends to a connection it has dropped.</summary>
    public bool ResetsFarEnd { get; init; }

    /// <summary>The part of packets that are lost.</summary>
    public double Loss { get; init; }

    public double RoundTrip { get; init; } = 0.001;

    /// <summary>How much longer than the round trip a packet may take, in each direction.</summary>
    public double Jitter { get; init; }

    public bool AnswersProbes { get; init; } = true;

    /// <summary>The box or the far end closes connections of this age.</summary>
    public double? MaximumAge { get; init; }

    /// <summary>The far end closes after so long without payload.</summary>
    public double? Closes { get; init; }

    /// <summary>The far end closes at any time around this age.</summary>
    public double? ClosesAbout { get; init; }

    /// <summary>The far end sends keepalive probes.</summary>
    public double? FarEndProbes { get; init; }

    /// <summary>The far end sends payload.</summary>
    public double? FarEndSends { get; init; }

    /// <summary>The far end answers payload after so long, on the first connection and on others.</summary>
    public (double First, double Others)? Answers { get; init; }

    public bool HasBanner { get; init; }

    /// <summary>The far end sends something once after each of these times.</summary>
    public double[] Greets { get; init; } = [];

    /// <summary>Half of the connections pass another box, with this timeout.</summary>
    public double? OtherTimeout { get; init; }

    /// <summary>The box sends so many resets in a second, and drops packets beyond them.</summary>
    public int? ResetsPerSecond { get; init; }

    /// <summary>The far end closes at any time between these ages.</summary>
    public (double From, double To)? ClosesBetween { get; init; }

    /// <summary>The far end looks for connections without payload for too long (Closes) so often.</summary>
    public double? Sweeps { get; init; }

    /// <summary>A busy box passes the answer to a SYN on up to so long after it has entered the connection.</summary>
    public double Handshake { get; init; }

    /// <summary>The box drops SYNs of further connections than so many that it knows.</summary>
    public int? MostKnown { get; init; }

    /// <summary>The far end sends something 30 ms before it closes.</summary>
    public bool SaysGoodbye { get; init; }

    /// <summary>Connections beyond so many are closed at once; 0 closes all.</summary>
    public int? Limit { get; init; }

    /// <summary>The oldest is closed if there are more.</summary>
    public int? Oldest { get; init; }

    /// <summary>The far end refuses new connections in this time.</summary>
    public (double From, double To)? Refuses { get; init; }

    /// <summary>Nothing passes in this time.</summary>
    public (double From, double To)? Outage { get; init; }


    /// <summary>The far end closes everything at a time; it does not come back, or accepts new connections.</summary>
    public void RestartFarEnd(double at, bool comesBack) => clock.After(at, () =>
    {
        _isGone = !comesBack;
        foreach (var one in _all)
        {
            one.FarEndCloses();
        }
    });

    /// <summary>The far end is stopped and started again.</summary>
    public void StopFarEnd(double at, double from)
    {
        RestartFarEnd(at, comesBack: false);
        clock.After(from, () => _isGone = false);
    }

    /// <summary>The far end closes the oldest connections but the first.</summary>
    public void CloseSome(double at, int count) => clock.After(at, () => _all.Skip(1).Take(count).ToList().ForEach(one => one.FarEndCloses()));

    /// <summary>The box drops everything at a time.</summary>
    public void RestartBox(double at) => clock.After(at, () => _all.ForEach(one => one.Forget()));

    private (double Second, int Count) _resets;
    private bool _isGone;

    private bool MaySendReset()
    {
        _resets = _resets.Second == Math.Floor(Now) ? (_resets.Second, _resets.Count + 1) : (Math.Floor(Now), 1);
        return ResetsPerSecond is not { } most || _resets.Count <= most;
    }

    private int _ports = 40000;

    public IProbeSocket Connect(IPEndPoint? local)
    {
        var one = new Connection(this, local ?? new IPEndPoint(IPAddress.Loopback, _ports++), _all.Count);
        if (local is not null)
        {
            // The same ports: the far end still has the old connection and resets it or answers; what counts is whether the SYN passes.
            one.IsAgain = true;
        }
        _all.Add(one);
        one.Syn(0);
        return one;
    }

    private double Now => clock.Now.TotalSeconds;

    /// <summary>One connection: this end's kernel, the box's entry and the far end's socket.</summary>
    private sealed class Connection(SimulatedWay way, IPEndPoint local, int number) : IProbeSocket
    {
        private TcpState _state = TcpState.SynSent;
        private double _heard;
        private uint _segments;
        private ulong _received;
        private int _unanswered;
        private int _retransmissions;
        private bool _isProbing;
        private int _timer;
        private double _unacknowledged;

        private bool _isKnown;
        private double _any;
        private double _payload;
        private double _farEndPayload;

        private bool _isFarEndOpen;
        private bool _isSynReceived;
        private bool _isFarEndDead;
        private double _answered = -1;

        private readonly double? _timeout = way.OtherTimeout is { } other && way._random.Next(2) == 0 ? other : way.Timeout;

        public bool IsAgain { get; set; }

        public IPEndPoint? Local => local;

        public SocketError Error => SocketError.ConnectionRefused;

        public TcpInfo Read() => new(_state, _unanswered, _unacknowledged == 0, _retransmissions, TimeSpan.FromMilliseconds(Math.Floor((way.Now - _heard) * 250) * 4),
            TimeSpan.FromSeconds(way.RoundTrip), _received, _segments);

        public void Dispose() => Abort();

        public void Abort()
        {
            if (_state == TcpState.Established)
            {
                ToFarEnd(isPayload: false, () => _isFarEndDead = true);
            }
            (_state, _isProbing) = (TcpState.Close, false);
        }

        public void Drain()
        {
        }

        public void Rest() => (_isProbing, _timer) = (false, _timer + 1);

        public void Probe()
        {
            _isProbing = true;
            Arm(Math.Max(0, _heard + 1 - way.Now));
        }

        private void Arm(double after)
        {
            var timer = ++_timer;
            way.After(after * (1 + (after > 0 ? way._random.NextDouble() * 0.12 : 0)), () =>
            {
                if (timer != _timer || !_isProbing || _state != TcpState.Established)
                {
                    return;
                }
                if (way.Now - _heard < 0.99)
                {
                    Arm(_heard + 1 - way.Now);
                    return;
                }
                _unanswered++;
                ToFarEnd(isPayload: false, FarEndAnswersProbe);
                Arm(1);
            });
        }

        public void Send(ReadOnlySpan<byte> payload)
        {
            _unacknowledged = 1;
            Transmit(0.2, () => _unacknowledged == 0 || _state != TcpState.Established, again =>
            {
                _retransmissions += again > 0 ? 1 : 0;
                ToFarEnd(isPayload: true, () =>
                {
                    ToUs(isPayload: false, () => (_heard, _unacknowledged, _unanswered) = (way.Now, 0, 0));
                    if (way.Answers is { } answers && again == 0)
                    {
                        way.After(number == 0 ? answers.First : answers.Others, FarEndSendsPayload);
                    }
                });
            });
        }

        public void Syn(int attempt)
        {
            if (_state != TcpState.SynSent || attempt > 6)
            {
                return;
            }
            _retransmissions += attempt > 0 ? 1 : 0;
            way.After(Math.Pow(2, attempt), () => Syn(attempt + 1));
            Pass(() =>
            {
                if (way._all.Count(one => one._isKnown) >= way.MostKnown && !_isKnown)
                {
                    return;
                }
                if (IsAgain && way.Timeout is not null && way.Expiry == ExpiryClass.SilentDrop)
                {
                    return;
                }
                (_isKnown, _any, _payload) = (true, way.Now, way.Now);
                Watch();
                if (way._isGone || (way.Refuses is { } refuses && way.Now > refuses.From && way.Now < refuses.To))
                {
                    ToUs(isPayload: false, () => _state = TcpState.Close);
                    return;
                }
                _isSynReceived = true;
                way.After(way.Handshake * way._random.NextDouble(), () => SynAck(0));
            });
        }

        private void SynAck(int attempt)
        {
            if (_isFarEndOpen || attempt > 5)
            {
                return;
            }
            way.After(Math.Pow(2, attempt), () => SynAck(attempt + 1));
            ToUs(isPayload: false, () =>
            {
                if (_state == TcpState.SynSent)
                {
                    (_state, _heard) = (TcpState.Established, way.Now);
                }
                ToFarEnd(isPayload: false, Accepted);
            });
        }

        private void Accepted()
        {
            if (_isFarEndOpen)
            {
                return;
            }
            (_isFarEndOpen, _farEndPayload) = (true, way.Now);
            if (way.HasBanner)
            {
                FarEndSendsPayload();
            }
            var open = way._all.Count(one => one is { _isFarEndOpen: true, _isFarEndDead: false });
            if (open > way.Limit)
            {
                FarEndCloses();
            }
            if (open > way.Oldest)
            {
                way._all.First(one => one is { _isFarEndOpen: true, _isFarEndDead: false }).FarEndCloses();
            }
            if (way.MaximumAge is { } age)
            {
                way.After(age, FarEndCloses);
            }
            if (way.ClosesAbout is { } about)
            {
                way.After(about * (0.5 + way._random.NextDouble()), FarEndCloses);
            }
            if (way.ClosesBetween is { } between)
            {
                way.After(between.From + ((between.To - between.From) * way._random.NextDouble()), FarEndCloses);
            }
            foreach (var greets in way.Greets)
            {
                way.After(greets, FarEndSendsPayload);
            }
            if (way.Sweeps is null)
            {
                Idle(way.Closes, () => _farEndPayload, FarEndCloses, once: true);
            }
            Sweep();
            Every(way.FarEndProbes, () => ToUs(isPayload: false, () => ToFarEnd(isPayload: false, () => { })));
            Every(way.FarEndSends, FarEndSendsPayload);
        }

        private void Sweep()
        {
            if (way.Sweeps is { } every && way.Closes is { } idle)
            {
                way.After(Math.Max(0.01, every - (way.Now % every)), () =>
                {
                    if (way.Now - _farEndPayload >= idle)
                    {
                        FarEndCloses();
                    }
                    else
                    {
                        Sweep();
                    }
                });
            }
        }

        private void FarEndAnswersProbe()
        {
            if (!way.AnswersProbes)
            {
                return;
            }
            if (way.Now - _answered >= 0.5)
            {
                _answered = way.Now;
                ToUs(isPayload: false, () => (_heard, _unanswered) = (way.Now, 0));
            }
        }

        private void FarEndSendsPayload()
        {
            var isReceived = false;
            _farEndPayload = way.Now;
            Transmit(0.2, () => isReceived || _isFarEndDead, _ => ToUs(isPayload: true, () =>
            {
                _received += isReceived ? 0u : 10u;
                (isReceived, _heard) = (true, way.Now);
                ToFarEnd(isPayload: false, () => { });
            }));
        }

        public void FarEndCloses()
        {
            if (_isFarEndDead || !_isFarEndOpen)
            {
                return;
            }
            if (way.SaysGoodbye)
            {
                FarEndSendsPayload();
            }
            _isFarEndDead = true;
            way.After(way.SaysGoodbye ? 0.03 : 0, () => Transmit(0.2, () => _state != TcpState.Established, _ => ToUs(isPayload: false, Finished)));
        }

        public void Forget()
        {
            if (way.Timeout is null)
            {
                // A router without this entry resets what it does not know.
                _isFarEndDead = true;
            }
            _isKnown = false;
        }

        private void Finished() => _state = _state == TcpState.Established ? TcpState.CloseWait : _state;

        /// <summary>Sends again until it arrived.</summary>
        private void Transmit(double after, Func<bool> isDone, Action<int> send, int number = 0)
        {
            if (isDone() || number > 12)
            {
                return;
            }
            send(number);
            way.After(after, () => Transmit(after * 2, isDone, send, number + 1));
        }

        private void Every(double? seconds, Action action)
        {
            if (seconds is { } every)
            {
                way.After(every, () =>
                {
                    if (!_isFarEndDead)
                    {
                        action();
                        Every(seconds, action);
                    }
                });
            }
        }

        private void Idle(double? seconds, Func<double> since, Action action, bool once)
        {
            if (seconds is { } after)
            {
                way.After(Math.Max(0.001, since() + after - way.Now), () =>
                {
                    if (way.Now - since() >= after - 0.0001)
                    {
                        action();
                    }
                    else if (once)
                    {
                        Idle(seconds, since, action, once);
                    }
                });
            }
        }

        /// <summary>Boxes that close or reset at expiry.</summary>
        private void Watch()
        {
            if (way.Expiry is ExpiryClass.ResetBoth or ExpiryClass.FinBoth)
            {
                Idle(_timeout, () => way.IsPayloadOnly ? _payload : _any, () =>
                {
                    _isKnown = false;
                    _isFarEndDead = true;
                    if (way.Expiry == ExpiryClass.FinBoth)
                    {
                        Transmit(0.2, () => _state != TcpState.Established, _ => Pass(Finished));
                    }
                    else
                    {
                        Pass(() => _state = TcpState.Close);
                    }
                }, once: true);
            }
        }

        /// <summary>Whether the box lets a packet pass.</summary>
        private bool IsKnown(bool isPayload)
        {
            var isExpired = _timeout is { } timeout && way.Now - (way.IsPayloadOnly ? _payload : _any) >= timeout;
            _isKnown &= !isExpired;
            if (_isKnown)
            {
                (_any, _payload) = (way.Now, isPayload ? way.Now : _payload);
            }
            return _isKnown;
        }

        private void ToFarEnd(bool isPayload, Action arrived) => Pass(() =>
        {
            if (!IsKnown(isPayload))
            {
                if (way.Expiry == ExpiryClass.InsideRevives)
                {
                    (_isKnown, _any, _payload) = (true, way.Now, way.Now);
                }
                else
                {
                    if (way.Expiry == ExpiryClass.ResetOnNextPacket && way.MaySendReset())
                    {
                        Pass(() => _state = TcpState.Close);
                    }
                    return;
                }
            }
            if (_isFarEndDead && _isFarEndOpen)
            {
                ToUs(isPayload: false, () => _state = _state == TcpState.CloseWait ? _state : TcpState.Close);
            }
            else if (_isSynReceived)
            {
                // Every packet acknowledges the handshake.
                Accepted();
                _farEndPayload = isPayload ? way.Now : _farEndPayload;
                arrived();
            }
        });

        private void ToUs(bool isPayload, Action arrived) => Pass(() =>
        {
            if (IsKnown(isPayload))
            {
                if (_state is TcpState.Established or TcpState.SynSent)
                {
                    _segments++;
                    arrived();
                }
            }
            else if (way.ResetsFarEnd)
            {
                _isFarEndDead = true;
            }
        });

        /// <summary>A packet that may be lost.</summary>
        private void Pass(Action arrived)
        {
            if (way._random.NextDouble() >= way.Loss && !(way.Outage is { } outage && way.Now > outage.From && way.Now < outage.To))
            {
                way.After((way.RoundTrip / 2) + (way.Jitter * way._random.NextDouble()), arrived);
            }
        }
    }

    private void After(double seconds, Action action) => clock.After(seconds, action);
}
