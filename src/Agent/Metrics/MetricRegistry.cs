using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using Keepalive.Agent.Log;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Prometheus;

namespace Keepalive.Agent.Metrics;

/// <summary>All metrics: what collectors tell when they are asked, and what is counted as it happens.</summary>
/// <remarks>Collectors fail one by one: one that cannot tell leaves its gauges out and says so in <see cref="MetricCatalogue.CollectorSuccess"/>, and the
/// others are there all the same.</remarks>
[SuppressMessage("Design", "CA1001", Justification = "A MemoryStream holds nothing but memory.")]
internal sealed partial class MetricRegistry
{
    private readonly CollectorRegistry _registry = Prometheus.Metrics.NewCustomRegistry();
    private readonly MetricFactory _factory;
    private readonly MemoryStream _text = new();
    private readonly List<IMetricsCollector> _collectors = [];
    private readonly HashSet<string> _failing = [];
    private readonly Gauge _success;
    private readonly Gauge _duration;
    private readonly ILogger _logger;

    public MetricRegistry(string version, string datapath, string kernel, ILogger? logger = null)
    {
        _logger = logger ?? NullLogger.Instance;
        _factory = Prometheus.Metrics.WithCustomRegistry(_registry);
        Gauge(MetricCatalogue.AgentInfo, "version", "datapath", "kernel").WithLabels(LabelText.Of([version, datapath, kernel])).Set(1);
        _success = Gauge(MetricCatalogue.CollectorSuccess, "collector");
        _duration = Gauge(MetricCatalogue.CollectorDurationSeconds, "collector");
    }

    /// <summary>A gauge of the catalogue that is left out until it is set.</summary>
    public Gauge Gauge(string name, params string[] labels) =>
        _factory.CreateGauge(name, MetricCatalogue.Help[name], labels, new GaugeConfiguration { SuppressInitialValue = true });

    /// <summary>A counter of the catalogue.</summary>
    public Counter Counter(string name, params string[] labels) => _factory.CreateCounter(name, MetricCatalogue.Help[name], labels);

    /// <summary>A histogram of the catalogue without labels.</summary>
    public Histogram Histogram(string name, double[] buckets) =>
        _factory.CreateHistogram(name, MetricCatalogue.Help[name], new HistogramConfiguration { Buckets = buckets });

    /// <summary>Has a collector asked from now on.</summary>
    public void Add(IMetricsCollector collector) => _collectors.Add(collector);

    /// <summary>Asks all collectors and writes everything in Prometheus' text format. One thread at a time.</summary>
    public void Write(MemoryStream stream)
    {
        foreach (var collector in _collectors)
        {
            Collect(collector);
        }
        _text.SetLength(0);
        // Nothing in it waits: the metrics are in memory, and so is the stream.
        _registry.CollectAndExportAsTextAsync(_text).GetAwaiter().GetResult();
        WriteByName(_text.GetBuffer().AsMemory(0, (int)_text.Length), stream);
    }

    /// <summary>Writes metrics in the order of their names, as people look for them, and without those that have no series.</summary>
    private static void WriteByName(ReadOnlyMemory<byte> text, MemoryStream to)
    {
        var families = new List<ReadOnlyMemory<byte>>();
        while (text.Length > 0)
        {
            var next = text.Span.IndexOf("\n# HELP "u8);
            var length = next < 0 ? text.Length : next + 1;
            if (text.Span[..length].Count((byte)'\n') > 2)
            {
                families.Add(text[..length]);
            }
            text = text[length..];
        }
        families.Sort(static (a, b) => a.Span.SequenceCompareTo(b.Span));
        families.ForEach(family => to.Write(family.Span));
    }

    private void Collect(IMetricsCollector collector)
    {
        var begun = Stopwatch.GetTimestamp();
        string? failure;
        try
        {
            failure = collector.Collect();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidOperationException or FormatException or IndexOutOfRangeException)
        {
            failure = e.Message;
        }
        if (failure is null)
        {
            _failing.Remove(collector.Name);
        }
        else
        {
            collector.Withdraw();
            if (_failing.Add(collector.Name))
            {
                LogFailed(collector.Name, failure);
            }
        }
        _success.WithLabels(collector.Name).Set(failure is null ? 1 : 0);
        _duration.WithLabels(collector.Name).Set(Stopwatch.GetElapsedTime(begun).TotalSeconds);
    }

    [LoggerMessage(EventIds.CollectorFailed, LogLevel.Warning, "Metrics of the collector {Collector} are missing: {Reason}")]
    private partial void LogFailed(string collector, string reason);
}
