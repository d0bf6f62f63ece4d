using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Liveness;

/// <summary>The state of a remote endpoint, over all destinations that contain it.</summary>
/// <param name="Destinations">The number of destinations that contain it.</param>
/// <param name="Out">The number of those destinations where it is out of the pool.</param>
/// <param name="OutSince">When a connection to it last died of unanswered probes, in nanoseconds since 1970.</param>
internal readonly record struct RemoteStanding(int Destinations, int Out, long OutSince)
{
    public bool IsIn => Out == 0;
}

/// <summary>The pool of remote endpoints to use. An endpoint leaves the pool when a connection to it dies of unanswered probes. It returns
/// when it answers again.</summary>
/// <remarks>Used under the monitor's lock, except <see cref="Find"/>.</remarks>
internal sealed class EndpointPool
{
    /// <summary>How long an endpoint without a connection is remembered as out of the pool, in nanoseconds. An unused one is then
    /// removed.</summary>
    public const long Memory = 3600L * 1_000_000_000;

    /// <summary>How long a returned endpoint without a connection is remembered, in nanoseconds. It must be long enough for the next pass
    /// to find the connection that the endpoint answered.</summary>
    private const long Welcome = 60L * 1_000_000_000;

    /// <summary>The maximum number of endpoints without a connection that are remembered as out of the pool.</summary>
    private const int MostAbsent = 10_000;

    private readonly Dictionary<(string Policy, string Destination, SocketEndpoint Remote), PooledEndpoint> _endpoints = [];
    private readonly ConcurrentDictionary<SocketEndpoint, RemoteStanding> _byRemote = new(concurrencyLevel: 1, capacity: 31);
    private readonly Queue<(PooledEndpoint Endpoint, long Since)> _absent = new();
    private readonly Queue<(PooledEndpoint Endpoint, long Since)> _returned = new();
    private EndpointStanding[]? _standings;

    /// <summary>The number of endpoints that are out of the pool.</summary>
    public int Out { get; private set; }

    /// <summary>All endpoints. Those out of the pool come first, because readers look for them.</summary>
    public IEnumerable<PooledEndpoint> Endpoints => _endpoints.Values.OrderBy(e => e.IsIn).ThenBy(e => e.Policy, StringComparer.Ordinal)
        .ThenBy(e => e.Destination, StringComparer.Ordinal).ThenBy(e => e.Remote.Address).ThenBy(e => e.Remote.Port);

    /// <summary>Returns the state of a remote endpoint; null if it is unknown. Any thread may call it, and it never waits.</summary>
    public RemoteStanding? Find(SocketEndpoint remote) => _byRemote.TryGetValue(remote, out var standing) ? standing : null;

    /// <summary>Counts a new connection at its endpoint, and returns the endpoint.</summary>
    public PooledEndpoint Enter(CompiledRule rule, SocketEndpoint remote)
    {
        ref var endpoint = ref CollectionsMarshal.GetValueRefOrAddDefault(_endpoints, (rule.Policy, rule.Destination, remote), out _);
        if (endpoint is null)
        {
            endpoint = new PooledEndpoint(rule.Policy, rule.Destination, remote);
            Count(endpoint, destinations: 1, gone: 0);
        }
        endpoint.Connections++;
        return endpoint;
    }

    /// <summary>Counts the end of a connection to the endpoint. An endpoint that is out of the pool is remembered for some time without a
    /// connection.</summary>
    public void Leave(PooledEndpoint endpoint, long now)
    {
        if (--endpoint.Connections > 0)
        {
            return;
        }
        if (endpoint.IsIn)
        {
            Forget(endpoint);
            return;
        }
        endpoint.AbsentSince = now;
        _absent.Enqueue((endpoint, now));
    }

    /// <summary>Takes an endpoint out of the pool. Returns true if it was in the pool.</summary>
    public bool TakeOut(PooledEndpoint endpoint, long now)
    {
        var wasIn = endpoint.IsIn;
        endpoint.OutSince = now;
        endpoint.IsIn = false;
        Count(endpoint, destinations: 0, gone: wasIn ? 1 : 0);
        return wasIn;
    }

    /// <summary>Records that an endpoint answered at <paramref name="time"/>. Returns the endpoints that return to the pool because of
    /// it.</summary>
    public IReadOnlyList<PooledEndpoint> Answered(SocketEndpoint remote, long time)
    {
        if (Out == 0 || !_byRemote.TryGetValue(remote, out var standing) || standing.IsIn)
        {
            return [];
        }
        var back = _endpoints.Values.Where(endpoint => endpoint.Remote == remote && !endpoint.IsIn && endpoint.OutSince < time).ToList();
        foreach (var endpoint in back)
        {
            endpoint.IsIn = true;
            Count(endpoint, destinations: 0, gone: -1);
            if (endpoint.Connections == 0)
            {
                endpoint.AbsentSince = time;
                _returned.Enqueue((endpoint, time));
            }
        }
        return back;
    }

    /// <summary>Removes endpoints without a connection that expired, and the oldest ones above the maximum number.</summary>
    public void Expire(long now)
    {
        while (_absent.TryPeek(out var oldest) && (now - oldest.Since > Memory || _absent.Count > MostAbsent))
        {
            _absent.Dequeue();
            // Since then the endpoint may have returned and left the pool again.
            if (oldest.Endpoint is { Connections: 0, IsIn: false, IsForgotten: false } endpoint && endpoint.AbsentSince == oldest.Since)
            {
                Forget(endpoint);
            }
        }
        while (_returned.TryPeek(out var returned) && now - returned.Since > Welcome)
        {
            _returned.Dequeue();
            if (returned.Endpoint is { Connections: 0, IsIn: true, IsForgotten: false } endpoint && endpoint.AbsentSince == returned.Since)
            {
                Forget(endpoint);
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
        var rules = policy.Rules.ToLookup(rule => (rule.Policy, rule.Destination));
        foreach (var endpoint in absent.Where(e => !rules[(e.Policy, e.Destination)].Any(rule => rule.Covers(e.Remote.Address, e.Remote.Port))))
        {
            Forget(endpoint);
        }
    }

    /// <summary>Returns the standings of all endpoints, in the order of <see cref="Endpoints"/>. It is the same object until something
    /// changes.</summary>
    public IReadOnlyList<EndpointStanding> Standings() => _standings ??= [.. Endpoints.Select(e => new EndpointStanding(e.Policy, e.Destination, e.Remote, e.IsIn))];

    private void Forget(PooledEndpoint endpoint)
    {
        _endpoints.Remove((endpoint.Policy, endpoint.Destination, endpoint.Remote));
        endpoint.IsForgotten = true;
        Count(endpoint, destinations: -1, gone: endpoint.IsIn ? 0 : -1);
    }

    private void Count(PooledEndpoint endpoint, int destinations, int gone)
    {
        Out += gone;
        _standings = null;
        var before = _byRemote.GetValueOrDefault(endpoint.Remote);
        var after = new RemoteStanding(before.Destinations + destinations, before.Out + gone, Math.Max(before.OutSince, endpoint.OutSince));
        if (after.Destinations == 0)
        {
            _byRemote.TryRemove(endpoint.Remote, out _);
        }
        else
        {
            _byRemote[endpoint.Remote] = after;
        }
    }
}

/// <summary>One remote endpoint of one destination.</summary>
internal sealed class PooledEndpoint(string policy, string destination, SocketEndpoint remote)
{
    public string Policy { get; } = policy;

    public string Destination { get; } = destination;

    public SocketEndpoint Remote { get; } = remote;

    public int Connections { get; set; }

    public bool IsIn { get; set; } = true;

    /// <summary>Whether the endpoint was removed from the pool.</summary>
    public bool IsForgotten { get; set; }

    /// <summary>When the last connection died of unanswered probes, in nanoseconds since 1970.</summary>
    public long OutSince { get; set; }

    /// <summary>When the last connection ended, in nanoseconds since 1970.</summary>
    public long AbsentSince { get; set; }
}
