using System.Runtime.InteropServices;
using Keepalive.Agent.Metrics;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Liveness;

/// <summary>Which far ends are to be used: all, but those to which a connection died of unanswered probes and that have not answered since.</summary>
internal sealed class EndpointPool
{
    /// <summary>Endpoints with a series of their own; the rest are folded into one.</summary>
    public const int MostSeries = 1000;

    /// <summary>Endpoints without a connection that are remembered as being out.</summary>
    private const int MostAbsent = 10_000;

    private readonly Dictionary<(string Policy, string Destination, SocketEndpoint Remote), PooledEndpoint> _endpoints = [];
    private readonly Dictionary<SocketEndpoint, int> _outByRemote = [];
    private readonly Queue<PooledEndpoint> _absent = new();

    /// <summary>Endpoints that are out.</summary>
    public int Out => _outByRemote.Count;

    /// <summary>The endpoint of a new connection.</summary>
    public PooledEndpoint Enter(CompiledRule rule, SocketEndpoint remote)
    {
        ref var endpoint = ref CollectionsMarshal.GetValueRefOrAddDefault(_endpoints, (rule.Policy, rule.Destination, remote), out _);
        endpoint ??= new PooledEndpoint(rule.Policy, rule.Destination, remote);
        endpoint.Connections++;
        return endpoint;
    }

    /// <summary>A connection to it is gone. One that is out is remembered so without any.</summary>
    public void Leave(PooledEndpoint endpoint)
    {
        if (--endpoint.Connections > 0)
        {
            return;
        }
        if (endpoint.IsIn)
        {
            _endpoints.Remove((endpoint.Policy, endpoint.Destination, endpoint.Remote));
            return;
        }
        _absent.Enqueue(endpoint);
        if (_absent.Count > MostAbsent && _absent.Dequeue() is { Connections: 0, IsIn: false } oldest)
        {
            Count(oldest.Remote, -1);
            _endpoints.Remove((oldest.Policy, oldest.Destination, oldest.Remote));
        }
    }

    /// <summary>Takes it out of the pool; true when it was in.</summary>
    public bool TakeOut(PooledEndpoint endpoint, long now)
    {
        endpoint.OutSince = now;
        if (!endpoint.IsIn)
        {
            return false;
        }
        endpoint.IsIn = false;
        Count(endpoint.Remote, 1);
        return true;
    }

    /// <summary>An endpoint has answered at <paramref name="time"/>; returns those that are back for it.</summary>
    public IReadOnlyList<PooledEndpoint> Answered(SocketEndpoint remote, long time)
    {
        if (!_outByRemote.ContainsKey(remote))
        {
            return [];
        }
        var back = _endpoints.Values.Where(endpoint => endpoint.Remote == remote && !endpoint.IsIn && endpoint.OutSince < time).ToList();
        foreach (var endpoint in back)
        {
            endpoint.IsIn = true;
            Count(remote, -1);
            if (endpoint.Connections == 0)
            {
                _endpoints.Remove((endpoint.Policy, endpoint.Destination, endpoint.Remote));
            }
        }
        return back;
    }

    /// <summary>The series of <see cref="MetricCatalogue.DestinationInPool"/>: 1 in, 0 out; the folded ones are in when all of them are.</summary>
    public List<Sample> Samples()
    {
        var samples = new List<Sample>(Math.Min(_endpoints.Count, MostSeries) + 1);
        var folded = 0;
        var foldedIn = true;

        // Those that are out first: they are what somebody looks for.
        foreach (var endpoint in _endpoints.Values.OrderBy(e => e.IsIn).ThenBy(e => e.Policy, StringComparer.Ordinal)
            .ThenBy(e => e.Destination, StringComparer.Ordinal).ThenBy(e => e.Remote.Address).ThenBy(e => e.Remote.Port))
        {
            if (samples.Count < MostSeries)
            {
                samples.Add(new Sample(
                    Exposition.Labels(("policy", endpoint.Policy), ("destination", endpoint.Destination), ("endpoint", endpoint.Remote.ToString())),
                    endpoint.IsIn ? 1 : 0));
            }
            else
            {
                folded++;
                foldedIn &= endpoint.IsIn;
            }
        }
        if (folded > 0)
        {
            samples.Add(new Sample(Exposition.Labels(("policy", ""), ("destination", ""), ("endpoint", "other")), foldedIn ? 1 : 0));
        }
        return samples;
    }

    private void Count(SocketEndpoint remote, int by)
    {
        ref var count = ref CollectionsMarshal.GetValueRefOrAddDefault(_outByRemote, remote, out _);
        count += by;
        if (count == 0)
        {
            _outByRemote.Remove(remote);
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

    /// <summary>When the last connection died of unanswered probes, in nanoseconds since 1970.</summary>
    public long OutSince { get; set; }
}
