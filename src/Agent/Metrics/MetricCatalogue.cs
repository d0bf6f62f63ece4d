using System.Diagnostics.Metrics;

namespace Keepalive.Agent.Metrics;

/// <summary>Every metric of the agent: names, help and units in one place. Names are a contract with dashboards and alerts.</summary>
/// <remarks>
/// Counters and histograms are instruments of one <see cref="Meter"/>, the seam where another exporter plugs in. Gauges of state that comes
/// and goes are written at scrape time from what the last pass published, so that a series ends with what it counted.
/// </remarks>
internal sealed class MetricCatalogue : IDisposable
{
    public const string MeterName = "Keepalive.Agent";

    public const string Sockets = "keepalive_sockets";
    public const string AppliedTotal = "keepalive_applied_total";
    public const string ApplyFailuresTotal = "keepalive_apply_failures_total";
    public const string RestoredTotal = "keepalive_restored_total";
    public const string ScanDurationSeconds = "keepalive_scan_duration_seconds";
    public const string ScannedSockets = "keepalive_scanned_sockets";
    public const string Policies = "keepalive_policies";
    public const string PolicyLoadFailuresTotal = "keepalive_policy_load_failures_total";
    public const string PolicyLoadedTimestampSeconds = "keepalive_policy_loaded_timestamp_seconds";
    public const string AgentInfo = "keepalive_agent_info";

    /// <summary>Upper bounds in seconds: from an idle node's pass to a pass that is as long as the default interval.</summary>
    public static readonly double[] ScanDurationBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

    /// <summary>Help text by metric name.</summary>
    public static readonly IReadOnlyDictionary<string, string> Help = new Dictionary<string, string>
    {
        [Sockets] = "Sockets that a policy selects, by how they stand to it: managed, kept, failed, wouldApply.",
        [AppliedTotal] = "Times the policy's values were written to a socket.",
        [ApplyFailuresTotal] = "Selected sockets that could not be set, by reason.",
        [RestoredTotal] = "Sockets given back to their application as they were.",
        [ScanDurationSeconds] = "Duration of a pass over the node's sockets, without time spent spreading changes.",
        [ScannedSockets] = "Sockets enumerated in the last pass.",
        [Policies] = "Policies in force (loaded), and whether a changed set of them was refused (invalid, 0 or 1).",
        [PolicyLoadFailuresTotal] = "Times a changed set of policies was refused because of errors in it.",
        [PolicyLoadedTimestampSeconds] = "When the policies in force were loaded, in Unix time.",
        [AgentInfo] = "Version, datapath and kernel; always 1.",
    };

    public MetricCatalogue()
    {
        Meter = new Meter(MeterName);
        Applied = Meter.CreateCounter<long>(AppliedTotal);
        ApplyFailures = Meter.CreateCounter<long>(ApplyFailuresTotal);
        Restored = Meter.CreateCounter<long>(RestoredTotal);
        PolicyLoadFailures = Meter.CreateCounter<long>(PolicyLoadFailuresTotal);
        ScanDuration = Meter.CreateHistogram<double>(ScanDurationSeconds, unit: "s");
    }

    public Meter Meter { get; }

    public Counter<long> Applied { get; }

    public Counter<long> ApplyFailures { get; }

    public Counter<long> Restored { get; }

    public Counter<long> PolicyLoadFailures { get; }

    public Histogram<double> ScanDuration { get; }

    public void Dispose() => Meter.Dispose();
}
