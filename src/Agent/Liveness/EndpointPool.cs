using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Liveness;

/// <summary>The pool of far ends to use. It contains all far ends except those that the workloads of this node voted out.</summary>
/// <remarks>Used under the monitor's lock, except <see cref="Find"/>.</remarks>
internal sealed class EndpointPool
{
    /// <summary>How long a returned endpoint without a connection is kept, in nanoseconds. It must be long enough for the next pass to find
    /// the connection that the endpoint answered.</summary>
    private const long Welcome = 60L * 1_000_000_000;

    /// <summary>The maximum number of endpoints without a connection that are kept because they are out of the pool.</summary>
    private const int MaxAbsent = 10_000;

    private readonly Dictionary<(string Policy, string Destination, SocketEndpoint Remote, SocketEndpoint? Front), PooledEndpoint> _endpoints = [];
    private readonly Dictionary<SocketEndpoint, List<PooledEndpoint>> _behind = [];
    private readonly Dictionary<SocketEndpoint, FarEnd> _farEnds = [];
    private readonly ConcurrentDictionary<SocketEndpoint, RemoteStanding> _byRemote = new(concurrencyLevel: 1, capacity: 31);
    private readonly HashSet<FarEnd> _questioned = [];
    private readonly Queue<(PooledEndpoint Endpoint, long Since)> _absent = new();
    private readonly Queue<(PooledEndpoint Endpoint, long Since)> _returned = new();
    private EndpointStanding[]? _standings;

    /// <summary>Called with each far end that leaves the pool.</summary>
    public Action<PooledEndpoint>? Left { get; init; }

    /// <summary>Called with each far end that returns to the pool.</summary>
    public Action<PooledEndpoint>? Returned { get; init; }

    /// <summary>The number of far ends that are out of the pool.</summary>
    public int Out { get; private set; }

    /// <summary>All endpoints. Those out of the pool come first, because readers look for them.</summary>
    public IEnumerable<PooledEndpoint> Endpoints => _endpoints.Values.OrderBy(e => e.IsIn).ThenBy(e => e.Policy, StringComparer.Ordinal)
        .ThenBy(e => e.Destination, StringComparer.Ordinal).ThenBy(e => e.Remote.Address).ThenBy(e => e.Remote.Port);

    /// <summary>The virtual addresses that connections go to, for each policy and destination, with their backends.</summary>
    public IEnumerable<IGrouping<(string Policy, string Destination, SocketEndpoint Front), PooledEndpoint>> Fronts =>
        _behind.Values.SelectMany(endpoints => endpoints).GroupBy(e => (e.Policy, e.Destination, e.Front!.Value));

    /// <summary>Returns the state of a far end; null if it is unknown. Any thread may call it, and it never waits.</summary>
    public RemoteStanding? Find(SocketEndpoint remote) => _byRemote.GetValueOrDefault(remote);

    /// <summary>Counts a new connection at its endpoint, and returns the endpoint.</summary>
    /// <param name="rule">The rule that selects it.</param>
    /// <param name="remote">The end that answers.</param>
    /// <param name="front">The virtual address that the connection goes to; null if it goes to <paramref name="remote"/> itself.</param>
    public PooledEndpoint Enter(CompiledRule rule, SocketEndpoint remote, SocketEndpoint? front = null)
    {
        ref var endpoint = ref CollectionsMarshal.GetValueRefOrAddDefault(_endpoints, (rule.Policy, rule.Destination, remote, front), out _);
        if (endpoint is null)
        {
            if (!_farEnds.TryGetValue(remote, out var farEnd))
            {
                _farEnds.Add(remote, farEnd = new FarEnd(remote));
            }
            endpoint = new PooledEndpoint(rule.Policy, rule.Destination, farEnd, front);
            farEnd.Destinations++;
            if (front is { } address)
            {
                ref var behind = ref CollectionsMarshal.GetValueRefOrAddDefault(_behind, address, out _);
                (behind ??= []).Add(endpoint);
                farEnd.Fronts.Add(address);
            }
            _standings = null;
            Publish(farEnd);
        }
        endpoint.Connections++;
        return endpoint;
    }

    /// <summary>Counts the end of a connection to the endpoint. An endpoint that is out of the pool is kept for some time without a
    /// connection.</summary>
    public void Leave(PooledEndpoint endpoint, long now)
    {
        if (--endpoint.Connections > 0)
        {
            return;
        }
        if (endpoint.IsIn)
        {
            Remove(endpoint);
            return;
        }
        endpoint.AbsentSince = now;
        _absent.Enqueue((endpoint, now));
    }

    /// <summary>Counts a connection for the vote of its workload.</summary>
    public void Enter(WatchedConnection connection, string workload)
    {
        var farEnd = connection.Endpoint!.FarEnd;
        var vote = farEnd.VoteOf(workload);
        vote.Add(connection);
        connection.Vote = vote;
        if (vote.Connections.Count == 1)
        {
            Publish(farEnd);
        }
    }

    /// <summary>Removes a connection from the vote of its workload.</summary>
    public void Leave(WatchedConnection connection, long now)
    {
        if (connection.Vote is { } vote)
        {
            vote.Remove(connection);
            connection.Vote = null;
            if (vote.Connections.Count == 0)
            {
                Settle(vote.FarEnd, vote.FarEnd.Leave(vote, now), now);
            }
        }
    }

    /// <summary>Records that a connection died of unanswered probes. The first of them was sent at
    /// <paramref name="silentSince"/>.</summary>
    public void Died(WorkloadVote vote, long silentSince, long interval, long now)
    {
        var hasLeft = vote.FarEnd.Died(vote, silentSince, interval, now);
        if (vote.FarEnd.IsQuestioned)
        {
            _questioned.Add(vote.FarEnd);
        }
        Settle(vote.FarEnd, hasLeft, now);
    }

    /// <summary>Records that something was heard from a far end at <paramref name="at"/>, on a connection that counts.</summary>
    public void Heard(WorkloadVote vote, long at)
    {
        var before = vote.FarEnd.Version;
        var isBack = vote.FarEnd.Heard(vote, at);
        if (isBack || vote.FarEnd.Version != before)
        {
            Settle(vote.FarEnd, isBack, at);
        }
    }

    /// <summary>Records that a far end out of the pool answered a handshake of a workload. No pass has found this connection yet.</summary>
    public void HeardHandshake(SocketEndpoint remote, string workload, long at)
    {
        if (Out > 0 && _farEnds.TryGetValue(remote, out var farEnd) && !farEnd.IsIn)
        {
            var vote = farEnd.VoteOf(workload);
            Heard(vote, at);
            if (vote.Connections.Count == 0 && vote.Says != Vote.Out)
            {
                Settle(farEnd, farEnd.Leave(vote, at), at);
            }
        }
    }

    /// <summary>Records that a connection sent another probe. The one before, at <paramref name="probedAt"/>, is unanswered.</summary>
    public void Lost(WorkloadVote vote, long probedAt, long now)
    {
        var before = vote.FarEnd.Version;
        var hasLeft = vote.FarEnd.Lost(vote, probedAt, now);
        if (vote.FarEnd.Version != before)
        {
            Settle(vote.FarEnd, hasLeft, now);
        }
    }

    /// <summary>Returns the connections that must send a probe in the next pass.</summary>
    public IEnumerable<WatchedConnection> Choose(long now)
    {
        foreach (var farEnd in _questioned)
        {
            foreach (var vote in farEnd.Votes)
            {
                if (vote.Choose(now) is { } connection)
                {
                    yield return connection;
                }
            }
        }
    }

    /// <summary>Begins the wait for answers after the pass that should have asked.</summary>
    public void AwaitAnswers(long now)
    {
        foreach (var farEnd in _questioned)
        {
            foreach (var vote in farEnd.Votes)
            {
                vote.AwaitAnswer(now);
            }
        }
    }

    /// <summary>Ends the wait for answers that did not come in time.</summary>
    public void CheckOverdue(long now)
    {
        if (_questioned.Count == 0)
        {
            return;
        }
        foreach (var farEnd in _questioned)
        {
            var before = farEnd.Version;
            var hasLeft = farEnd.CheckOverdue(now);
            if (farEnd.Version != before)
            {
                Settle(farEnd, hasLeft, now);
            }
        }
        _questioned.RemoveWhere(farEnd => !farEnd.IsQuestioned);
    }

    /// <summary>Removes endpoints without a connection that expired, and the oldest ones above the maximum number. Removes votes that
    /// expired.</summary>
    public void Expire(long now)
    {
        while (_absent.TryPeek(out var oldest) && (now - oldest.Since > FarEnd.Memory || _absent.Count > MaxAbsent))
        {
            _absent.Dequeue();
            // Since then the endpoint may have returned and left the pool again.
            if (oldest.Endpoint is { Connections: 0, IsIn: false, IsRemoved: false } endpoint && endpoint.AbsentSince == oldest.Since)
            {
                Remove(endpoint);
            }
        }
        while (_returned.TryPeek(out var returned) && now - returned.Since > Welcome)
        {
            _returned.Dequeue();
            if (returned.Endpoint is { Connections: 0, IsIn: true, IsRemoved: false } endpoint && endpoint.AbsentSince == returned.Since)
            {
                Remove(endpoint);
            }
        }
        if (Out > 0)
        {
            foreach (var farEnd in _farEnds.Values.Where(farEnd => !farEnd.IsIn && farEnd.Votes.Any(vote => vote.Connections.Count > 0)).ToList())
            {
                Settle(farEnd, farEnd.Expire(now), now);
            }
        }
    }

    /// <summary>Removes endpoints without a connection that no destination of the policy contains any more.</summary>
    public void Retain(CompiledPolicy policy)
    {
        var absent = _endpoints.Values.Where(e => e.Connections == 0).ToList();
        if (absent.Count == 0)
        {
            return;
        }
        // A policy may have a hundred thousand rules, and most are for other destinations.
        var destinations = absent.Select(e => e.Destination).ToHashSet();
        var rules = policy.AllRules.Where(rule => destinations.Contains(rule.Destination)).ToLookup(rule => (rule.Policy, rule.Destination));
        foreach (var endpoint in absent.Where(e => !rules[(e.Policy, e.Destination)].Any(rule => rule.Covers(e.Remote.Address, e.Remote.Port))))
        {
            Remove(endpoint);
        }
    }

    /// <summary>Returns the standings of all endpoints and virtual addresses. Those out of the pool come first. It is the same object until
    /// something changes.</summary>
    public IReadOnlyList<EndpointStanding> Standings() => _standings ??=
    [
        .. Endpoints.Select(e => new EndpointStanding(e.Policy, e.Destination, e.Remote, e.IsIn))
            .Concat(Fronts.Select(front => new EndpointStanding(front.Key.Policy, front.Key.Destination, front.Key.Front, front.Any(e => e.IsIn))))
            .DistinctBy(standing => (standing.Policy, standing.Destination, standing.Remote))
            .OrderBy(standing => standing.IsIn),
    ];

    private void Remove(PooledEndpoint endpoint)
    {
        var farEnd = endpoint.FarEnd;
        _endpoints.Remove((endpoint.Policy, endpoint.Destination, endpoint.Remote, endpoint.Front));
        endpoint.IsRemoved = true;
        if (endpoint.Front is { } front && _behind.TryGetValue(front, out var behind) && behind.Remove(endpoint))
        {
            if (behind.Count == 0)
            {
                _behind.Remove(front);
            }
            if (!behind.Any(other => other.FarEnd == farEnd))
            {
                farEnd.Fronts.Remove(front);
            }
            Publish(front);
        }
        if (--farEnd.Destinations == 0)
        {
            _farEnds.Remove(farEnd.Remote);
            Publish(farEnd.Remote);
            _questioned.Remove(farEnd);
            Out -= farEnd.IsIn ? 0 : 1;
        }
        else
        {
            Publish(farEnd);
        }
        _standings = null;
    }

    /// <summary>Publishes the changed state of a far end.</summary>
    /// <param name="farEnd">The far end.</param>
    /// <param name="hasMoved">Whether it has left the pool or returned to it.</param>
    /// <param name="now">The time.</param>
    private void Settle(FarEnd farEnd, bool hasMoved, long now)
    {
        Publish(farEnd);
        if (!hasMoved)
        {
            return;
        }
        Out += farEnd.IsIn ? -1 : 1;
        _standings = null;
        foreach (var endpoint in _endpoints.Values.Where(endpoint => endpoint.FarEnd == farEnd).ToList())
        {
            (farEnd.IsIn ? Returned : Left)?.Invoke(endpoint);
            if (farEnd.IsIn && endpoint.Connections == 0)
            {
                endpoint.AbsentSince = now;
                _returned.Enqueue((endpoint, now));
            }
        }
    }

    private void Publish(FarEnd farEnd)
    {
        Publish(farEnd.Remote);
        foreach (var front in farEnd.Fronts)
        {
            Publish(front);
        }
    }

    /// <summary>Publishes the state of an address. It includes its own connections and, for a virtual address, its backends. The address is
    /// in the pool while one of them is.</summary>
    private void Publish(SocketEndpoint address)
    {
        var own = _farEnds.GetValueOrDefault(address);
        var behind = _behind.GetValueOrDefault(address);
        if (behind is null)
        {
            if (own is { Destinations: > 0 })
            {
                _byRemote[address] = new RemoteStanding(own.Destinations, own.IsIn, own.OutSince, [.. own.Votes.Select(VoteStanding.Of)]);
            }
            else
            {
                _byRemote.TryRemove(address, out _);
            }
            return;
        }
        var all = behind.Select(endpoint => endpoint.FarEnd).ToHashSet();
        if (own is not null)
        {
            all.Add(own);
        }
        _byRemote[address] = new RemoteStanding(
            behind.Count + (own?.Destinations ?? 0),
            all.Any(farEnd => farEnd.IsIn),
            all.Max(farEnd => farEnd.OutSince),
            [.. all.SelectMany(farEnd => farEnd.Votes).Select(VoteStanding.Of).GroupBy(vote => vote.Workload).Select(VoteStanding.Merge)]);
    }
}

/// <summary>One far end of one destination.</summary>
internal sealed class PooledEndpoint(string policy, string destination, FarEnd farEnd, SocketEndpoint? front)
{
    public string Policy { get; } = policy;

    public string Destination { get; } = destination;

    public FarEnd FarEnd { get; } = farEnd;

    public SocketEndpoint Remote => FarEnd.Remote;

    /// <summary>The virtual address that its connections go to; null if they go to the far end itself.</summary>
    public SocketEndpoint? Front { get; } = front;

    public bool IsIn => FarEnd.IsIn;

    public int Connections { get; set; }

    /// <summary>Whether the pool has dropped its entry.</summary>
    public bool IsRemoved { get; set; }

    /// <summary>When the last connection ended, in nanoseconds of the monitor's clock.</summary>
    public long AbsentSince { get; set; }
}
