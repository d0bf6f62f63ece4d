using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;
using Keepalive.Agent.Log;
using Keepalive.Config;
using Keepalive.Config.Compilation;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Keepalive.Agent.Metrics;

/// <summary>All metrics as text: counters and histograms from a <see cref="MeterListener"/>, gauges as the last pass published them.</summary>
/// <remarks>Made of collectors that fail one by one: one that cannot tell leaves its series out and says so in
/// <see cref="MetricCatalogue.CollectorSuccess"/>, and the others are there all the same.</remarks>
internal sealed partial class Exposition : IDisposable
{
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    /// <summary>Label sets of one counter; those beyond are counted under <see cref="MetricCatalogue.Other"/>.</summary>
    public const int MostSeries = 1000;

    private readonly Lock _lock = new();
    private readonly SortedDictionary<string, SortedDictionary<string, Series>> _counters = new(StringComparer.Ordinal);
    private readonly Distribution _scans = new(MetricCatalogue.ScanDurationSeconds, MetricCatalogue.ScanDurationBuckets);
    private readonly Distribution _roundTrips = new(MetricCatalogue.ProbeRoundTripSeconds, MetricCatalogue.ProbeRoundTripBuckets);
    private readonly MeterListener _listener = new();
    private readonly ProcessMetrics _process = new();
    private readonly AgentStatus _status;
    private readonly ILogger _logger;
    private readonly string _info;
    private readonly HashSet<string> _failing = [];
    private readonly List<Sample> _successes = [];
    private readonly List<Sample> _durations = [];

    public Exposition(MetricCatalogue catalogue, AgentStatus status, string version, string datapath, string kernel, ILogger? logger = null)
    {
        _status = status;
        _logger = logger ?? NullLogger.Instance;
        _info = Labels(("version", version), ("datapath", datapath), ("kernel", kernel));
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (ReferenceEquals(instrument.Meter, catalogue.Meter))
            {
                if (instrument is Counter<long>)
                {
                    _counters.Add(instrument.Name, new SortedDictionary<string, Series>(StringComparer.Ordinal));
                }
                listener.EnableMeasurementEvents(instrument);
            }
        };
        _listener.SetMeasurementEventCallback<long>(Count);
        _listener.SetMeasurementEventCallback<double>(Observe);
        _listener.Start();
        foreach (var name in MetricCatalogue.WithoutLabels)
        {
            _counters[name].Add("", new Series(null, null));
        }
    }

    /// <summary>Renders labels in the order given: <c>{a="x",b="y"}</c>.</summary>
    public static string Labels(params ReadOnlySpan<(string Name, string Value)> labels)
    {
        var text = new StringBuilder("{");
        foreach (var (name, value) in labels)
        {
            text.Append(text.Length > 1 ? "," : "").Append(name).Append("=\"");
            foreach (var c in Visible(value))
            {
                _ = c switch
                {
                    '\\' => text.Append(@"\\"),
                    '"' => text.Append("\\\""),
                    '\n' => text.Append("\\n"),
                    _ => text.Append(c),
                };
            }
            text.Append('"');
        }
        return text.Append('}').ToString();
    }

    /// <remarks>The format has an escape of its own for the end of a line.</remarks>
    private static string Visible(string value) =>
        value.Contains('\n') ? string.Join('\n', value.Split('\n').Select(TerminalText.Escape)) : TerminalText.Escape(value);

    /// <summary>Everything, as a string.</summary>
    public string Render()
    {
        var text = new MetricText();
        Write(text);
        return text.ToString();
    }

    /// <summary>Writes everything. One thread at a time.</summary>
    public void Write(MetricText text)
    {
        var now = _status.Current;
        _successes.Clear();
        _durations.Clear();
        text.Family(MetricCatalogue.AgentInfo, "gauge", [new Sample(_info, 1)]);
        Collect(text, "sockets", now.PassFailure, () =>
        {
            text.Family(MetricCatalogue.Sockets, "gauge", now.Sockets);
            text.Family(MetricCatalogue.UnprotectedSockets, "gauge", now.Unprotected);
            text.Single(MetricCatalogue.ScannedSockets, "gauge", now.Scanned);
            text.Family(MetricCatalogue.NetworkNamespaces, "gauge",
                [new Sample("{state=\"failed\"}", now.Namespaces.Failed), new Sample("{state=\"skipped\"}", now.Namespaces.Skipped), new Sample("{state=\"watched\"}", now.Namespaces.Watched)]);
        });
        Collect(text, "liveness", now.LivenessFailure, () => text.Family(MetricCatalogue.DestinationInPool, "gauge", now.Endpoints));
        if (now.Captures)
        {
            // What it has counted stays true; it may miss some from now on.
            Collect(text, "capture", now.CaptureFailure, () => { });
        }
        Collect(text, "policies", null, () =>
        {
            text.Family(MetricCatalogue.Policies, "gauge",
                [new Sample("{state=\"invalid\"}", now.InvalidPolicies), new Sample("{state=\"loaded\"}", now.Policies)]);
            text.Single(MetricCatalogue.PolicyLoadedTimestampSeconds, "gauge", now.LoadedAt);
        });
        if (_status.KubernetesAges is { } ages)
        {
            Collect(text, "kubernetes", null, () => text.Family(MetricCatalogue.KubernetesStateAgeSeconds, "gauge",
                [.. ages().Select(age => new Sample(Labels(("resource", age.Kind)), Math.Round(age.Age.TotalSeconds, 3)))]));
        }
        Collect(text, "process", null, () => _process.Write(text));
        lock (_lock)
        {
            foreach (var (name, series) in _counters)
            {
                Counter(text, name, series);
            }
            Histogram(text, _scans);
            Histogram(text, _roundTrips);
        }
        text.Family(MetricCatalogue.CollectorDurationSeconds, "gauge", _durations);
        text.Family(MetricCatalogue.CollectorSuccess, "gauge", _successes);
    }

    /// <summary>Drops the series of policies and destinations that are no longer in force.</summary>
    public void Retain(CompiledPolicy policy)
    {
        lock (_lock)
        {
            var policies = new HashSet<string>(_counters.Values.SelectMany(c => c.Values).Select(s => s.Policy).OfType<string>());
            var pairs = new HashSet<(string, string)>();
            foreach (var series in _counters.Values.SelectMany(c => c.Values))
            {
                if (series is { Policy: { } name, Destination: { } destination })
                {
                    pairs.Add((name, destination));
                }
            }
            foreach (var rule in policy.Rules)
            {
                policies.Remove(rule.Policy);
                pairs.Remove((rule.Policy, rule.Destination));
            }
            foreach (var counter in _counters.Values)
            {
                foreach (var (labels, series) in counter.Where(s => s.Value.Policy is { } p && p != MetricCatalogue.Other
                    && (policies.Contains(p) || (s.Value.Destination is { } d && pairs.Contains((p, d))))).ToList())
                {
                    counter.Remove(labels);
                }
            }
        }
    }

    public void Dispose() => _listener.Dispose();

    private void Collect(MetricText text, string collector, string? failure, Action write)
    {
        var begun = Stopwatch.GetTimestamp();
        var length = text.Length;
        if (failure is null)
        {
            try
            {
                write();
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidOperationException or FormatException or IndexOutOfRangeException)
            {
                text.Truncate(length);
                failure = e.Message;
            }
        }
        if (failure is null)
        {
            _failing.Remove(collector);
        }
        else if (_failing.Add(collector))
        {
            LogFailed(collector, failure);
        }
        var labels = Labels(("collector", collector));
        _successes.Add(new Sample(labels, failure is null ? 1 : 0));
        _durations.Add(new Sample(labels, Stopwatch.GetElapsedTime(begun).TotalSeconds));
    }

    private void Count(Instrument instrument, long value, ReadOnlySpan<KeyValuePair<string, object?>> tags, object? state)
    {
        var pairs = new (string Name, string Value)[tags.Length];
        for (var i = 0; i < tags.Length; i++)
        {
            pairs[i] = (tags[i].Key, tags[i].Value?.ToString() ?? "");
        }
        lock (_lock)
        {
            var counter = _counters[instrument.Name];
            var labels = pairs.Length > 0 ? Labels(pairs) : "";
            if (!counter.TryGetValue(labels, out var series))
            {
                if (counter.Count >= MostSeries)
                {
                    Fold(pairs);
                    labels = Labels(pairs);
                }
                if (!counter.TryGetValue(labels, out series))
                {
                    counter.Add(labels, series = new Series(Value(pairs, "policy"), Value(pairs, "destination")));
                }
            }
            series.Value += value;
        }
    }

    private static void Fold((string Name, string Value)[] pairs)
    {
        for (var i = 0; i < pairs.Length; i++)
        {
            // Of the cluster's namespaces come and go as many as anybody makes.
            if (pairs[i].Name is "policy" or "destination" || pairs[i] is { Name: "namespace", Value.Length: > 0 })
            {
                pairs[i].Value = MetricCatalogue.Other;
            }
        }
    }

    private static string? Value((string Name, string Value)[] pairs, string name) => Array.Find(pairs, pair => pair.Name == name).Value;

    private void Observe(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags, object? state)
    {
        lock (_lock)
        {
            (instrument.Name == _scans.Name ? _scans : _roundTrips).Add(value);
        }
    }

    private static void Counter(MetricText text, string name, SortedDictionary<string, Series> counter)
    {
        if (counter.Count == 0)
        {
            return;
        }
        text.Head(name, "counter");
        foreach (var (labels, series) in counter)
        {
            text.Line(name, "", labels, series.Value);
        }
    }

    private static void Histogram(MetricText text, Distribution distribution)
    {
        text.Head(distribution.Name, "histogram");
        var cumulative = 0L;
        for (var i = 0; i < distribution.Counts.Length; i++)
        {
            cumulative += distribution.Counts[i];
            text.Line(distribution.Name, "_bucket", distribution.Labels[i], cumulative);
        }
        text.Line(distribution.Name, "_sum", "", distribution.Sum);
        text.Line(distribution.Name, "_count", "", cumulative);
    }

    [LoggerMessage(EventIds.CollectorFailed, LogLevel.Warning, "Metrics of the collector {Collector} are left out: {Reason}")]
    private partial void LogFailed(string collector, string reason);

    /// <summary>One label set of a counter; null for a label it does not have.</summary>
    private sealed class Series(string? policy, string? destination)
    {
        public string? Policy { get; } = policy;

        public string? Destination { get; } = destination;

        public long Value { get; set; }
    }

    /// <summary>What a histogram has counted.</summary>
    private sealed class Distribution(string name, double[] bounds)
    {
        public string Name { get; } = name;

        public long[] Counts { get; } = new long[bounds.Length + 1];

        public string[] Labels { get; } =
            [.. bounds.Select(bound => $"{{le=\"{bound.ToString("R", CultureInfo.InvariantCulture)}\"}}"), "{le=\"+Inf\"}"];

        public double Sum { get; private set; }

        public void Add(double value)
        {
            var bucket = Array.FindIndex(bounds, bound => value <= bound);
            Counts[bucket < 0 ? ^1 : bucket]++;
            Sum += value;
        }
    }
}
