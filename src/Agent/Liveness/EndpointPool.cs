using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Liveness;

/// <summary>What is known of a far end, whichever destinations it belongs to.</summary>
/// <param name="Destinations">Destinations that have it.</param>
/// <param name="Out">Of those, where it is out of the pool.</param>
/// <param name="OutSince">When a connection to it last died of unanswered probes, in nanoseconds since 1970.</param>
internal readonly record struct RemoteStanding(int Destinations, int Out, long OutSince)
{
    public bool IsIn => Out == 0;
}

/// <summary>Which far ends are to be used: all, but those to which a connection died of unanswered probes and that have not answered since.</summary>
/// <remarks>Used under the monitor's lock, but for <see cref="Find"/>.</remarks>
internal sealed class EndpointPool
{
    /// <summary>How long an endpoint without a connection is remembered as being out, in nanoseconds: who is asked for it that long asks in vain.</summary>
    public const long Memory = 3600L * 1_000_000_000;

    /// <summary>How long one that is back is remembered without a connection, in nanoseconds: the next pass finds the one that was answered.</summary>
    private const long Welcome = 60L * 1_000_000_000;

    /// <summary>Endpoints without a connection that are remembered as being out.</summary>
    private const int MostAbsent = 10_000;

    private readonly Dictionary<(string Policy, string Destination, SocketEndpoint Remote), PooledEndpoint> _endpoints = [];
    private readonly ConcurrentDictionary<SocketEndpoint, RemoteStanding> _byRemote = new(concurrencyLevel: 1, capacity: 31);
    private readonly Queue<(PooledEndpoint Endpoint, long Since)> _absent = new();
    private readonly Queue<(PooledEndpoint Endpoint, long Since)> _returned = new();
    private EndpointStanding[]? _standings;

    /// <summary>Endpoints that are out.</summary>
    public int Out { get; private set; }

    /// <summary>All of them, those that are out first: they are what somebody looks for.</summary>
    public IEnumerable<PooledEndpoint> Endpoints => _endpoints.Values.OrderBy(e => e.IsIn).ThenBy(e => e.Policy, StringComparer.Ordinal)
        .ThenBy(e => e.Destination, StringComparer.Ordinal).ThenBy(e => e.Remote.Address).ThenBy(e => e.Remote.Port);

    /// <summary>What is known of a far end; null where nothing is. Any thread may ask, and never waits.</summary>
    public RemoteStanding? Find(SocketEndpoint remote) => _byRemote.TryGetValue(remote, out var standing) ? standing : null;

    /// <summary>The endpoint of a new connection.</summary>
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

    /// <summary>A connection to it is gone. One that is out is remembered so without any, for some time.</summary>
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

    /// <summary>Takes it out of the pool; true when it was in.</summary>
    public bool TakeOut(PooledEndpoint endpoint, long now)
    {
        var wasIn = endpoint.IsIn;
        endpoint.OutSince = now;
        endpoint.IsIn = false;
        Count(endpoint, destinations: 0, gone: wasIn ? 1 : 0);
        return wasIn;
    }

    /// <summary>An endpoint has answered at <paramref name="time"/>; returns those that are back for it.</summary>
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

    /// <summary>Forgets those without a connection that have been out for too long, or are too many.</summary>
    public void Expire(long now)
    {
        while (_absent.TryPeek(out var oldest) && (now - oldest.Since > Memory || _absent.Count > MostAbsent))
        {
            _absent.Dequeue();
            // It may have come back, and gone again, since.
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

    /// <summary>Forgets those without a connection that are in no destination of a policy any more.</summary>
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

    /// <summary>How all of them stand, in the order of <see cref="Endpoints"/>: the same object as long as nothing changes.</summary>
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

/// <summary>One far end of one destination.</summary>
internal sealed class PooledEndpoint(string policy, string destination, SocketEndpoint remote)
{
    public string Policy { get; } = policy;

    public string Destination { get; } = destination;

    public SocketEndpoint Remote { get; } = remote;

    public int Connections { get; set; }

    public bool IsIn { get; set; } = true;

    /// <summary>Whether the pool no longer has it.</summary>
    public bool IsForgotten { get; set; }

    /// <summary>When the last connection died of unanswered probes, in nanoseconds since 1970.</summary>
    public long OutSince { get; set; }

    /// <summary>When the last connection went, in nanoseconds since 1970.</summary>
    public long AbsentSince { get; set; }
}
