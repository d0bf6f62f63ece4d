using Keepalive.Config;
using Keepalive.Config.Balancers;
using Keepalive.Simulator.Balancing;
using Keepalive.Simulator.Scenarios;

namespace Keepalive.Simulator.Virtual;

/// <summary>Runs some clients and their connections from the beginning to the end of a scenario.</summary>
/// <remarks>
/// <para>
/// Connections that cannot matter to each other are run in small blocks whose state stays in the processor's cache. Where they can (an
/// endpoint that one of them finds dead leaves the pool for all), there is one block.
/// </para>
/// <code>
///   queue: (time, node) ──► a client's next request ──► its connection, brought up to that time ──► sent
///                       └─► a connection's next step: timer, retransmission, reset, expiry …
/// </code>
/// <para>
/// A quiet connection is not simulated until its state is needed: then step by step, or, where nothing can go
/// wrong, all its probes in one sum (<see cref="KeepaliveSchedule.AnsweredProbes"/>). With every probe an event of its own, and where
/// endpoints are shared, each step is in the queue instead; the steps are the same.
/// </para>
/// <para>A connection's own time line is that of the balancer: what a client does at t is there one way later.</para>
/// </remarks>
internal sealed partial class Block
{
    public const long Never = long.MaxValue / 4;

    /// <summary>TCP_RTO_MIN and TCP_RTO_MAX of the kernel's include/net/tcp.h, and the first retransmission of a SYN.</summary>
    private const long LeastRetransmission = TimeSpan.TicksPerSecond / 5;
    private const long MaxRetransmission = 120 * TimeSpan.TicksPerSecond;
    private const long SynRetransmission = TimeSpan.TicksPerSecond;

    /// <summary>Steps between two looks at whether the run was cancelled: one connection alone may have millions between two requests.</summary>
    private const int StepsBetweenChecks = 4096;

    /// <summary>net.ipv4.tcp_retries2.</summary>
    private const int MaxRetransmissions = 15;

    /// <summary>How long a client waits after it could not connect.</summary>
    private const long ReconnectDelay = TimeSpan.TicksPerSecond;

    private const int ClientStream = 1;
    private const int ConnectionStream = 2;
    private const int ServiceStream = 4;

    private readonly Scenario _scenario;
    private readonly BalancerRule _rule;
    private readonly bool _forwardsOpen;
    private readonly PathLoss _loss;
    private readonly Outages _outages;
    private readonly VirtualEndpoints _endpoints;
    private readonly ArrivalClock _arrivals;
    private readonly ServiceClock? _services;
    private readonly KernelTimer _timer;
    private readonly EventQueue _queue = new();
    private readonly bool _queuesSteps;
    private readonly bool _sumsProbes;
    private readonly long[] _restarts;
    private readonly long _oneWay;
    private readonly long _end;
    private readonly long _binLength;
    private readonly TimeBins _probesByTime;
    private readonly KeepaliveSchedule? _clientSchedule;
    private readonly EndTimes _clientTimes;
    private readonly EndTimes _serverTimes;

    private VirtualConnection[] _connections = [];
    private VirtualClient[] _clients = [];
    private int _connectionCount;
    private int _firstClient;
    private int _stepsUntilCheck = StepsBetweenChecks;
    private CancellationToken _cancellation;

    /// <summary>Makes room for nothing yet.</summary>
    /// <param name="scenario">The scenario.</param>
    /// <param name="outages">Its outages.</param>
    /// <param name="endpoints">Its endpoints; where they are shared, every client has to be in this block.</param>
    /// <param name="everyProbe">Whether each step is an event of its own.</param>
    public Block(Scenario scenario, Outages outages, VirtualEndpoints endpoints, bool everyProbe)
    {
        _scenario = scenario;
        _rule = scenario.Rule;
        _forwardsOpen = !_rule.Behaviour.DropsProbes;
        _loss = new PathLoss(scenario);
        _outages = outages;
        _endpoints = endpoints;
        _arrivals = new ArrivalClock(scenario);
        _services = scenario.ServiceTime is { } service ? new ServiceClock(service) : null;
        _timer = new KernelTimer(scenario.TimerHz);
        _queuesSteps = everyProbe || endpoints.IsShared;
        _restarts = [.. scenario.Restarts.Select(at => at.Ticks)];
        _oneWay = scenario.RoundTrip.Ticks / 2;
        _end = scenario.Duration.Ticks;
        _binLength = Math.Max(1, (_end + VirtualTotals.Bins - 1) / VirtualTotals.Bins);
        _probesByTime = new TimeBins(Totals.Timeline[VirtualTotals.ProbeRow], _binLength);
        _clientSchedule = scenario.Keepalive is { } settings ? new KeepaliveSchedule(settings) : null;
        _clientTimes = new EndTimes(scenario.Keepalive);
        _serverTimes = new EndTimes(scenario.ServerKeepalive);
        _sumsProbes = !_queuesSteps && _clientTimes.IsOn && !_serverTimes.IsOn && !_loss.Exists && !_timer.IsLate && !_rule.Behaviour.DropsProbes
            && (_rule.Behaviour.Refresh == Refresh.PayloadOnly || _clientSchedule!.AnsweredCycle(RoundTrip) < _rule.IdleTimeout);
    }

    /// <summary>The counters of all runs together.</summary>
    public VirtualTotals Totals { get; } = new();

    private TimeSpan RoundTrip => new(2 * _oneWay);

    /// <summary>Runs some of the scenario's clients.</summary>
    public void Run(int firstClient, int clients, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        _cancellation = cancellation;
        Prepare(firstClient, clients);
        while (_queue.TryPeek(out var node, out var key))
        {
            Totals.Events++;
            if (node < _connectionCount)
            {
                StepFromQueue(node, key);
            }
            else
            {
                BeginRequest(node - _connectionCount);
            }
        }
        for (var i = 0; i < _connectionCount; i++)
        {
            Advance(i, _end);
            Totals.ByFailures[Math.Min(_connections[i].Failed, VirtualTotals.MaxFailures)]++;
        }
    }

    private void Prepare(int firstClient, int clients)
    {
        _firstClient = firstClient;
        _connectionCount = clients * _scenario.Pool;
        if (_connections.Length < _connectionCount)
        {
            (_connections, _clients) = (new VirtualConnection[_connectionCount], new VirtualClient[clients]);
        }
        _queue.Reset(_connectionCount + clients);
        for (var client = 0; client < clients; client++)
        {
            var number = firstClient + client;
            ref var one = ref _clients[client];
            one = new VirtualClient { Random = new RandomStream(_scenario.Seed, ClientStream, number), Active = -1 };
            if (_services is not null)
            {
                one.ServiceRandom = new RandomStream(_scenario.Seed, ServiceStream, number);
            }
            for (var i = client * _scenario.Pool; i < (client + 1) * _scenario.Pool; i++)
            {
                var connection = ((long)firstClient * _scenario.Pool) + i;
                _connections[i] = new VirtualConnection
                {
                    Random = new RandomStream(_scenario.Seed, ConnectionStream, connection),
                    NextEndpoint = (int)(connection % _endpoints.Count),
                    Restart = _restarts.Length > 0 ? _restarts[0] : Never,
                };
                Clear(ref _connections[i]);
                if (_scenario.ReopensAtOnce)
                {
                    Open(ref _connections[i], 0);
                }
                Enter(i);
            }
            one.Next = _arrivals.Next(ref one, number, 0, _cancellation);
            EnterClient(client);
        }
    }

    private void EnterClient(int client)
    {
        ref var one = ref _clients[client];
        if (one.Active < 0 && one.Next < _end)
        {
            _queue.Set(_connectionCount + client, one.Next + _oneWay);
        }
        else
        {
            _queue.Remove(_connectionCount + client);
        }
    }

    /// <summary>Puts a connection's next step into the queue, where steps are.</summary>
    private void Enter(int connection)
    {
        if (!_queuesSteps)
        {
            return;
        }
        ref var one = ref _connections[connection];
        one.Next = NextStep(ref one, out var key);
        if (key <= _end || (key < Never && _clients[connection / _scenario.Pool].Active == connection))
        {
            _queue.Set(connection, key);
        }
        else
        {
            _queue.Remove(connection);
        }
    }

    private void StepFromQueue(int connection, long key)
    {
        Take(_connections[connection].Next, connection, key);
        Enter(connection);
    }

    private void BeginRequest(int client)
    {
        ref var one = ref _clients[client];
        one.Began = one.Next;
        one.Deadline = one.Next + _scenario.RequestTimeout.Ticks;
        one.RetriesLeft = _scenario.Retries;
        if (_services is not null)
        {
            one.Service = _services.Next(ref one, _firstClient + client);
        }
        one.Requests++;
        Assign(client, one.Next);
        if (_queuesSteps)
        {
            EnterClient(client);
            return;
        }
        while (one.Active >= 0)
        {
            var kind = NextStep(ref _connections[one.Active], out var key);
            Totals.Events++;
            Take(kind, one.Active, key);
        }
        EnterClient(client);
    }

    /// <summary>Gives a client's request to a connection of its pool.</summary>
    private void Assign(int client, long now)
    {
        ref var one = ref _clients[client];
        var offset = _scenario.Pool == 1 ? 0 : _scenario.Pick switch
        {
            PoolPick.RoundRobin => (int)((uint)one.Picks++ % (uint)_scenario.Pool),
            PoolPick.Random => one.Random.Next(_scenario.Pool),
            _ => 0,
        };
        var index = (client * _scenario.Pool) + offset;
        Advance(index, now + _oneWay);
        one.Active = index;
        ref var connection = ref _connections[index];
        connection.Timeout = one.Deadline;
        connection.Obstacle = Cause.None;
        connection.RequestSeen = false;
        if (connection.Phase == ConnectionPhase.Established)
        {
            Send(ref connection, client, now);
        }
        else
        {
            if (connection.Phase == ConnectionPhase.Down)
            {
                Open(ref connection, now);
            }
            connection.Request = RequestPhase.Waiting;
        }
        Enter(index);
    }

    /// <summary>Brings a connection up to a time of its own time line, that included.</summary>
    private void Advance(int index, long until)
    {
        ref var connection = ref _connections[index];
        for (; ; )
        {
            if (_sumsProbes)
            {
                SumProbes(ref connection, until);
            }
            var kind = NextStep(ref connection, out var key);
            if (key > until)
            {
                return;
            }
            Totals.Events++;
            Take(kind, index, key);
        }
    }

    /// <summary>Lets a quiet connection send all its probes until something else can happen to it.</summary>
    private void SumProbes(ref VirtualConnection connection, long until)
    {
        ref var end = ref connection.Client;
        if (connection.Phase != ConnectionPhase.Established || connection.ServerGone || connection.Told < Never
            || connection.Request != RequestPhase.None || end.Unanswered != 0 || connection.Flow.Phase != FlowPhase.Open
            || end.Timer - end.Heard < _clientTimes.Time)
        {
            return;
        }
        var deadline = Deadline(ref connection);
        var horizon = Math.Min(until, Math.Min(connection.Fails, connection.Restart) - 1);
        if (_rule.Behaviour.Refresh == Refresh.PayloadOnly)
        {
            horizon = Math.Min(horizon, deadline - 1);
        }
        else if (end.Timer + _oneWay >= deadline)
        {
            return;
        }
        var window = new TimeSpan(horizon - _oneWay - end.Timer);
        var count = _clientSchedule!.AnsweredProbes(window, RoundTrip);
        if (count == 0)
        {
            return;
        }
        var last = end.Timer + ((count - 1) * _clientSchedule.AnsweredCycle(RoundTrip).Ticks);
        Totals.ClientProbes += count;
        _probesByTime.Add(end.Timer, _clientSchedule.AnsweredCycle(RoundTrip).Ticks, count);
        Totals.RepliesSent += count;
        Totals.Replies += count;
        var passes = new TimeSpan(last + _oneWay);
        _ = _rule.OnPacket(ref connection.Flow, FlowEnd.Client, PacketTraits.None, passes);
        _ = _rule.OnPacket(ref connection.Flow, FlowEnd.Server, PacketTraits.None, passes);
        end.Heard = last + (2 * _oneWay);
        end.Timer = last + _clientTimes.Interval;
    }

    /// <summary>The part of the duration; what happens to requests that outlast it is of the last.</summary>
    private int Bin(long time) => (int)Math.Min(VirtualTotals.Bins - 1, time / _binLength);

    /// <summary>An end's keepalive in ticks.</summary>
    private readonly struct EndTimes(KeepaliveSettings? settings)
    {
        public readonly bool IsOn = settings is not null;
        public readonly long Time = (settings?.Time ?? 0) * TimeSpan.TicksPerSecond;
        public readonly long Interval = (settings?.Interval ?? 0) * TimeSpan.TicksPerSecond;
        public readonly int Probes = settings?.Probes ?? 0;
    }
}
