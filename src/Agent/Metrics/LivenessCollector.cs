using Keepalive.Agent.Liveness;
using Keepalive.Linux.Sockets;
using Prometheus;

namespace Keepalive.Agent.Metrics;

/// <summary>What becomes of connections and endpoints.</summary>
internal sealed class LivenessCollector : IMetricsCollector, IRoundTripListener
{
    private readonly LivenessWatch _liveness;
    private readonly CounterSeries<RuleKey> _probes;
    private readonly CounterSeries<RuleKey> _replies;
    private readonly CounterSeries<RuleKey> _unanswered;
    private readonly CounterSeries<(RuleKey Rule, DeathCause Cause)> _dead;
    private readonly GaugeSeries<(string Policy, string Destination, SocketEndpoint? Remote)> _endpoints;
    private readonly Histogram _roundTrips;
    private IReadOnlyList<EndpointStanding>? _shown;

    /// <param name="registry">Has the metrics.</param>
    /// <param name="liveness">Counts.</param>
    public LivenessCollector(MetricRegistry registry, LivenessWatch liveness)
    {
        _liveness = liveness;
        _probes = OfRules(MetricCatalogue.ProbesTotal);
        _replies = OfRules(MetricCatalogue.ProbeRepliesTotal);
        _unanswered = OfRules(MetricCatalogue.ProbesUnansweredTotal);
        _dead = new(
            registry.Counter(MetricCatalogue.ConnectionsDeadTotal, "policy", "destination", "namespace", "cause"),
            static d => [d.Rule.Policy, d.Rule.Destination, d.Rule.Namespace, d.Cause.ToString().ToLowerInvariant()],
            static d => (Fold(d.Rule), d.Cause),
            MetricCatalogue.MaxSeries * RuleCounts.Causes.Count);
        _endpoints = new(
            registry.Gauge(MetricCatalogue.DestinationInPool, "policy", "destination", "endpoint"),
            static e => [e.Policy, e.Destination, e.Remote?.ToString() ?? MetricCatalogue.Other]);
        _roundTrips = registry.Histogram(MetricCatalogue.ProbeRoundTripSeconds, MetricCatalogue.ProbeRoundTripBuckets);
        liveness.Monitor.RoundTrips = this;

        CounterSeries<RuleKey> OfRules(string name) =>
            new(registry.Counter(name, "policy", "destination", "namespace"), static rule => [rule.Policy, rule.Destination, rule.Namespace], Fold);
    }

    public string Name => "liveness";

    public void Took(double seconds) => _roundTrips.Observe(seconds);

    public string? Collect()
    {
        var counts = _liveness.Monitor.Counts();
        _probes.Show([.. counts.Select(c => KeyValuePair.Create(c.Key, c.Value.Probes))]);
        _replies.Show([.. counts.Select(c => KeyValuePair.Create(c.Key, c.Value.Replies))]);
        _unanswered.Show([.. counts.Select(c => KeyValuePair.Create(c.Key, c.Value.Unanswered))]);
        _dead.Show([.. counts.SelectMany(c => c.Value.Deaths, static (c, death) => KeyValuePair.Create((c.Key, death.Cause), death.Count))]);
        if (_liveness.Failure is { } failure)
        {
            return failure;
        }
        var standings = _liveness.Monitor.Standings();
        if (!ReferenceEquals(standings, _shown))
        {
            _endpoints.Show(Rows(standings));
            _shown = standings;
        }
        return null;
    }

    public void Withdraw()
    {
        _endpoints.Withdraw();
        _shown = null;
    }

    /// <summary>1 in, 0 out; of too many the last ones are one that is in when all of them are.</summary>
    private static List<KeyValuePair<(string Policy, string Destination, SocketEndpoint? Remote), double>> Rows(IReadOnlyList<EndpointStanding> standings)
    {
        var rows = new List<KeyValuePair<(string, string, SocketEndpoint?), double>>();
        foreach (var standing in standings.Take(MetricCatalogue.MaxSeries))
        {
            rows.Add(new((standing.Policy, standing.Destination, standing.Remote), standing.IsIn ? 1 : 0));
        }
        if (standings.Count > MetricCatalogue.MaxSeries)
        {
            rows.Add(new(("", "", null), standings.Skip(MetricCatalogue.MaxSeries).All(standing => standing.IsIn) ? 1 : 0));
        }
        return rows;
    }

    private static RuleKey Fold(RuleKey rule) => new(MetricCatalogue.Other, MetricCatalogue.Other, Folded.Namespace(rule.Namespace));
}
