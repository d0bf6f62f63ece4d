using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;

namespace Keepalive.Agent.Metrics;

/// <summary>The Prometheus text format (version 0.0.4) over a <see cref="MeterListener"/> and the published gauges.</summary>
internal sealed class Exposition : IDisposable
{
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    private readonly Lock _lock = new();
    private readonly SortedDictionary<string, SortedDictionary<string, double>> _counters = new(StringComparer.Ordinal);
    private readonly Distribution _scans = new(MetricCatalogue.ScanDurationSeconds, MetricCatalogue.ScanDurationBuckets);
    private readonly Distribution _roundTrips = new(MetricCatalogue.ProbeRoundTripSeconds, MetricCatalogue.ProbeRoundTripBuckets);
    private readonly MeterListener _listener = new();
    private readonly AgentStatus _status;
    private readonly string _info;

    public Exposition(MetricCatalogue catalogue, AgentStatus status, string version, string datapath, string kernel)
    {
        _status = status;
        _info = Labels(("version", version), ("datapath", datapath), ("kernel", kernel));
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (ReferenceEquals(instrument.Meter, catalogue.Meter))
            {
                if (instrument is Counter<long>)
                {
                    _counters.Add(instrument.Name, new SortedDictionary<string, double>(StringComparer.Ordinal));
                }
                listener.EnableMeasurementEvents(instrument);
            }
        };
        _listener.SetMeasurementEventCallback<long>(Count);
        _listener.SetMeasurementEventCallback<double>(Observe);
        _listener.Start();
    }

    /// <summary>Renders labels in the order given: <c>{a="x",b="y"}</c>.</summary>
    public static string Labels(params ReadOnlySpan<(string Name, string Value)> labels)
    {
        var text = new StringBuilder("{");
        foreach (var (name, value) in labels)
        {
            text.Append(text.Length > 1 ? "," : "").Append(name).Append("=\"");
            foreach (var c in value)
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

    public string Render()
    {
        var text = new StringBuilder(4096);
        var gauges = _status.Current;
        Gauge(text, MetricCatalogue.AgentInfo, [new Sample(_info, 1)]);
        Gauge(text, MetricCatalogue.Sockets, gauges.Sockets);
        Gauge(text, MetricCatalogue.DestinationInPool, gauges.Endpoints);
        Gauge(text, MetricCatalogue.ScannedSockets, [new Sample("", gauges.Scanned)]);
        Gauge(text, MetricCatalogue.Policies, [new Sample("{state=\"invalid\"}", gauges.InvalidPolicies), new Sample("{state=\"loaded\"}", gauges.Policies)]);
        Gauge(text, MetricCatalogue.PolicyLoadedTimestampSeconds, [new Sample("", gauges.LoadedAt)]);
        Gauge(text, MetricCatalogue.KubernetesStateAgeSeconds, _status.KubernetesAges?.Invoke() ?? []);
        lock (_lock)
        {
            foreach (var (name, series) in _counters)
            {
                Head(text, name, "counter");
                foreach (var (labels, value) in series)
                {
                    Line(text, name, labels, value);
                }
            }
            Histogram(text, _scans);
            Histogram(text, _roundTrips);
        }
        return text.ToString();
    }

    public void Dispose() => _listener.Dispose();

    private void Count(Instrument instrument, long value, ReadOnlySpan<KeyValuePair<string, object?>> tags, object? state)
    {
        var labels = "";
        if (tags.Length > 0)
        {
            var pairs = new (string, string)[tags.Length];
            for (var i = 0; i < tags.Length; i++)
            {
                pairs[i] = (tags[i].Key, tags[i].Value?.ToString() ?? "");
            }
            labels = Labels(pairs);
        }
        lock (_lock)
        {
            var series = _counters[instrument.Name];
            series[labels] = series.GetValueOrDefault(labels) + value;
        }
    }

    private void Observe(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags, object? state)
    {
        lock (_lock)
        {
            (instrument.Name == _scans.Name ? _scans : _roundTrips).Add(value);
        }
    }

    private static void Histogram(StringBuilder text, Distribution distribution)
    {
        Head(text, distribution.Name, "histogram");
        var cumulative = 0L;
        for (var i = 0; i < distribution.Counts.Length; i++)
        {
            cumulative += distribution.Counts[i];
            var bound = i < distribution.Bounds.Length ? Number(distribution.Bounds[i]) : "+Inf";
            Line(text, distribution.Name + "_bucket", $"{{le=\"{bound}\"}}", cumulative);
        }
        Line(text, distribution.Name + "_sum", "", distribution.Sum);
        Line(text, distribution.Name + "_count", "", cumulative);
    }

    private static void Gauge(StringBuilder text, string name, IReadOnlyList<Sample> samples)
    {
        Head(text, name, "gauge");
        foreach (var sample in samples)
        {
            Line(text, name, sample.Labels, sample.Value);
        }
    }

    private static void Head(StringBuilder text, string name, string type) =>
        text.Append("# HELP ").Append(name).Append(' ').Append(MetricCatalogue.Help[name]).Append("\n# TYPE ").Append(name).Append(' ').Append(type)
            .Append('\n');

    private static void Line(StringBuilder text, string name, string labels, double value) =>
        text.Append(name).Append(labels).Append(' ').Append(Number(value)).Append('\n');

    private static string Number(double value) => value.ToString("R", CultureInfo.InvariantCulture);

    /// <summary>What a histogram has counted.</summary>
    private sealed class Distribution(string name, double[] bounds)
    {
        public string Name { get; } = name;

        public double[] Bounds { get; } = bounds;

        public long[] Counts { get; } = new long[bounds.Length + 1];

        public double Sum { get; private set; }

        public void Add(double value)
        {
            var bucket = Array.FindIndex(Bounds, bound => value <= bound);
            Counts[bucket < 0 ? ^1 : bucket]++;
            Sum += value;
        }
    }
}
