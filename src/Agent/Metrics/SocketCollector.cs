using System.Runtime.InteropServices;
using Prometheus;

namespace Keepalive.Agent.Metrics;

/// <summary>What passes tell of sockets.</summary>
internal sealed class SocketCollector : IMetricsCollector
{
    private readonly SocketTally _tally;
    private readonly GaugeSeries<SocketSeries> _states;
    private readonly GaugeSeries<(string Namespace, string Reason)> _unprotected;
    private readonly GaugeSeries<(string Policy, string Namespace)> _shortTimeouts;
    private readonly GaugeSeries<string> _namespaces;
    private readonly CounterSeries<(string Policy, string Namespace)> _applied;
    private readonly CounterSeries<string> _failures;
    private readonly Gauge _scanned;
    private readonly Counter _restored;
    private readonly Counter _left;
    private readonly Counter _lost;
    private readonly Histogram _duration;
    private SocketFigures? _shown;

    /// <param name="registry">Has the metrics.</param>
    /// <param name="tally">Counts.</param>
    /// <param name="datapath">What sets the values.</param>
    public SocketCollector(MetricRegistry registry, SocketTally tally, string datapath)
    {
        _tally = tally;
        _states = new(
            registry.Gauge(MetricCatalogue.Sockets, "policy", "destination", "namespace", "state"), static s => [s.Policy, s.Destination, s.Namespace, s.State]);
        _unprotected = new(registry.Gauge(MetricCatalogue.UnprotectedSockets, "namespace", "reason"), static s => [s.Namespace, s.Reason]);
        _shortTimeouts = new(registry.Gauge(MetricCatalogue.ShortUserTimeouts, "policy", "namespace"), static s => [s.Policy, s.Namespace]);
        _namespaces = new(registry.Gauge(MetricCatalogue.NetworkNamespaces, "state"), static state => [state]);
        _applied = new(
            registry.Counter(MetricCatalogue.AppliedTotal, "policy", "namespace", "datapath"),
            a => [a.Policy, a.Namespace, datapath],
            static a => (MetricCatalogue.Other, Folded.Namespace(a.Namespace)));
        _failures = new(registry.Counter(MetricCatalogue.ApplyFailuresTotal, "reason"), static reason => [reason], static _ => MetricCatalogue.Other);
        _scanned = registry.Gauge(MetricCatalogue.ScannedSockets);
        _restored = registry.Counter(MetricCatalogue.RestoredTotal);
        _left = registry.Counter(MetricCatalogue.ArrivalsLeftTotal);
        _lost = registry.Counter(MetricCatalogue.ArrivalsLostTotal);
        _duration = registry.Histogram(MetricCatalogue.ScanDurationSeconds, MetricCatalogue.ScanDurationBuckets);
    }

    public string Name => "sockets";

    /// <summary>A pass took so long. Any thread may say so.</summary>
    public void Took(TimeSpan time) => _duration.Observe(time.TotalSeconds);

    public string? Collect()
    {
        var now = _tally.Now;
        if (ReferenceEquals(now, _shown))
        {
            return now.Failure;
        }
        _shown = now;
        _applied.Show(now.Applied);
        _failures.Show(now.Failures);
        _restored.IncTo(now.Restored);
        _left.IncTo(now.ArrivalsLeft);
        _lost.IncTo(now.ArrivalsLost);
        if (now.Failure is null)
        {
            _states.Show(Fold(now.States));
            _unprotected.Show(now.Unprotected);
            _shortTimeouts.Show(Fold(now.ShortUserTimeouts));
            _namespaces.Show([new("failed", now.Namespaces.Failed), new("skipped", now.Namespaces.Skipped), new("watched", now.Namespaces.Watched)]);
            _scanned.Set(now.Scanned);
        }
        return now.Failure;
    }

    public void Withdraw()
    {
        _states.Withdraw();
        _unprotected.Withdraw();
        _shortTimeouts.Withdraw();
        _namespaces.Withdraw();
        _scanned.Unpublish();
    }

    /// <summary>Of too many destinations only so many have series of their own, always the same ones.</summary>
    private static IReadOnlyCollection<KeyValuePair<SocketSeries, double>> Fold(IReadOnlyCollection<KeyValuePair<SocketSeries, double>> states)
    {
        var all = states.Select(state => (state.Key.Policy, state.Key.Destination, state.Key.Namespace)).Distinct().ToList();
        if (all.Count <= MetricCatalogue.MaxSeries)
        {
            return states;
        }
        var own = all.Order().Take(MetricCatalogue.MaxSeries).ToHashSet();
        var counts = new Dictionary<SocketSeries, double>();
        foreach (var (key, count) in states)
        {
            var folded = own.Contains((key.Policy, key.Destination, key.Namespace)) ? key : key with { Policy = MetricCatalogue.Other, Destination = MetricCatalogue.Other };
            CollectionsMarshal.GetValueRefOrAddDefault(counts, folded, out _) += count;
        }
        return counts;
    }

    private static IReadOnlyCollection<KeyValuePair<(string Policy, string Namespace), double>> Fold(
        IReadOnlyCollection<KeyValuePair<(string Policy, string Namespace), double>> sockets)
    {
        if (sockets.Count <= MetricCatalogue.MaxSeries)
        {
            return sockets;
        }
        var own = sockets.Select(one => one.Key).Order().Take(MetricCatalogue.MaxSeries).ToHashSet();
        return [.. sockets.GroupBy(one => own.Contains(one.Key) ? one.Key : (MetricCatalogue.Other, Folded.Namespace(one.Key.Namespace)))
            .Select(group => KeyValuePair.Create(group.Key, group.Sum(one => one.Value)))];
    }
}
