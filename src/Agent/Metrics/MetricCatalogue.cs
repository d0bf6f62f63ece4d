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
    public const string UnprotectedSockets = "keepalive_unprotected_sockets";
    public const string AppliedTotal = "keepalive_applied_total";
    public const string ApplyFailuresTotal = "keepalive_apply_failures_total";
    public const string ArrivalsLostTotal = "keepalive_arrivals_lost_total";
    public const string RestoredTotal = "keepalive_restored_total";
    public const string ScanDurationSeconds = "keepalive_scan_duration_seconds";
    public const string ScannedSockets = "keepalive_scanned_sockets";
    public const string NetworkNamespaces = "keepalive_network_namespaces";
    public const string Policies = "keepalive_policies";
    public const string PolicyLoadFailuresTotal = "keepalive_policy_load_failures_total";
    public const string PolicyLoadedTimestampSeconds = "keepalive_policy_loaded_timestamp_seconds";
    public const string ProbesTotal = "keepalive_probes_total";
    public const string ProbeRepliesTotal = "keepalive_probe_replies_total";
    public const string ProbesUnansweredTotal = "keepalive_probes_unanswered_total";
    public const string ProbeRoundTripSeconds = "keepalive_probe_rtt_seconds";
    public const string ConnectionsDeadTotal = "keepalive_connections_dead_total";
    public const string DestinationInPool = "keepalive_destination_in_pool";
    public const string CapturePacketsTotal = "keepalive_capture_packets_total";
    public const string CaptureDroppedTotal = "keepalive_capture_dropped_total";
    public const string KubernetesStateAgeSeconds = "keepalive_kubernetes_state_age_seconds";
    public const string CollectorSuccess = "keepalive_collector_success";
    public const string CollectorDurationSeconds = "keepalive_collector_duration_seconds";
    public const string AgentInfo = "keepalive_agent_info";
    public const string ProcessCpuSecondsTotal = "process_cpu_seconds_total";
    public const string ProcessStartTimeSeconds = "process_start_time_seconds";
    public const string ProcessVirtualMemoryBytes = "process_virtual_memory_bytes";
    public const string ProcessResidentMemoryBytes = "process_resident_memory_bytes";
    public const string ProcessThreads = "process_threads";
    public const string ProcessOpenFds = "process_open_fds";
    public const string ProcessMaxFds = "process_max_fds";

    /// <summary>What labels say where there are too many label sets for each to have its own series.</summary>
    public const string Other = "other";

    /// <summary>Upper bounds in seconds: from an idle node's pass to a pass that is as long as the default interval.</summary>
    public static readonly double[] ScanDurationBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

    /// <summary>Upper bounds in seconds: from the same host to the far side of the world, and to an answer that is as good as none.</summary>
    public static readonly double[] ProbeRoundTripBuckets = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

    /// <summary>Help text by metric name.</summary>
    public static readonly IReadOnlyDictionary<string, string> Help = new Dictionary<string, string>
    {
        [Sockets] = "Sockets that a policy selects, by how they stand to it: managed, kept, failed, wouldApply.",
        [UnprotectedSockets] = "Connections to other hosts without keepalive, by reason: noPolicy, wouldApply, application, or why they could not be set.",
        [AppliedTotal] = "Times the policy's values were written to a socket.",
        [ApplyFailuresTotal] = "Selected sockets that could not be set, by reason.",
        [ArrivalsLostTotal] = "New connections that were set and not reported when they were, as there were too many; those still open count at the next pass.",
        [RestoredTotal] = "Sockets given back to their application as they were.",
        [ScanDurationSeconds] = "Duration of a pass over the node's sockets, without time spent spreading changes.",
        [ScannedSockets] = "Sockets enumerated in the last pass.",
        [NetworkNamespaces] = "Network namespaces with processes: watched; failed, which could not be looked into; skipped, whose owner has too many.",
        [Policies] = "Policies in force (loaded); objects of the cluster that are refused as they are now, and 1 for changed files that are (invalid).",
        [PolicyLoadFailuresTotal] = "Times a changed set of policies was refused because of errors in it.",
        [PolicyLoadedTimestampSeconds] = "When the policies in force were loaded, in Unix time.",
        [ProbesTotal] = "Keepalive probes sent on connections that a policy selects.",
        [ProbeRepliesTotal] = "Replies to them.",
        [ProbesUnansweredTotal] = "Those that were not answered before the next was sent, or the connection's end.",
        [ProbeRoundTripSeconds] = "Time from a probe to its reply.",
        [ConnectionsDeadTotal] = "Connections that ended because their other end is gone, by cause: probes, reset, timeout.",
        [DestinationInPool] = "Whether an endpoint is to be used: 0 from a connection's death by unanswered probes until it answers again.",
        [CapturePacketsTotal] = "Packets captured, payload left out by the kernel.",
        [CaptureDroppedTotal] = "Packets the kernel dropped because they were not taken in time.",
        [KubernetesStateAgeSeconds] = "Time since the API server last confirmed what is known of a kind of object: a minute is usual, more than three is trouble.",
        [CollectorSuccess] = "Whether a collector could tell (1); where it could not (0), its series are missing.",
        [CollectorDurationSeconds] = "Time a collector took for the scrape.",
        [AgentInfo] = "Version, datapath and kernel; always 1.",
        [ProcessCpuSecondsTotal] = "Total user and system CPU time spent in seconds.",
        [ProcessStartTimeSeconds] = "Start time of the process since unix epoch in seconds.",
        [ProcessVirtualMemoryBytes] = "Virtual memory size in bytes.",
        [ProcessResidentMemoryBytes] = "Resident memory size in bytes.",
        [ProcessThreads] = "Number of OS threads in the process.",
        [ProcessOpenFds] = "Number of open file descriptors.",
        [ProcessMaxFds] = "Maximum number of open file descriptors.",
    };

    /// <summary>Counters that have one series from the start, with 0.</summary>
    public static readonly IReadOnlyList<string> WithoutLabels = [RestoredTotal, ArrivalsLostTotal, PolicyLoadFailuresTotal, CapturePacketsTotal, CaptureDroppedTotal];

    public MetricCatalogue()
    {
        Meter = new Meter(MeterName);
        Applied = Meter.CreateCounter<long>(AppliedTotal);
        ApplyFailures = Meter.CreateCounter<long>(ApplyFailuresTotal);
        ArrivalsLost = Meter.CreateCounter<long>(ArrivalsLostTotal);
        Restored = Meter.CreateCounter<long>(RestoredTotal);
        PolicyLoadFailures = Meter.CreateCounter<long>(PolicyLoadFailuresTotal);
        Probes = Meter.CreateCounter<long>(ProbesTotal);
        ProbeReplies = Meter.CreateCounter<long>(ProbeRepliesTotal);
        ProbesUnanswered = Meter.CreateCounter<long>(ProbesUnansweredTotal);
        ConnectionsDead = Meter.CreateCounter<long>(ConnectionsDeadTotal);
        CapturePackets = Meter.CreateCounter<long>(CapturePacketsTotal);
        CaptureDropped = Meter.CreateCounter<long>(CaptureDroppedTotal);
        ProbeRoundTrip = Meter.CreateHistogram<double>(ProbeRoundTripSeconds, unit: "s");
        ScanDuration = Meter.CreateHistogram<double>(ScanDurationSeconds, unit: "s");
    }

    public Meter Meter { get; }

    public Counter<long> Applied { get; }

    public Counter<long> ApplyFailures { get; }

    public Counter<long> ArrivalsLost { get; }

    public Counter<long> Restored { get; }

    public Counter<long> PolicyLoadFailures { get; }

    public Counter<long> Probes { get; }

    public Counter<long> ProbeReplies { get; }

    public Counter<long> ProbesUnanswered { get; }

    public Counter<long> ConnectionsDead { get; }

    public Counter<long> CapturePackets { get; }

    public Counter<long> CaptureDropped { get; }

    public Histogram<double> ProbeRoundTrip { get; }

    public Histogram<double> ScanDuration { get; }

    public void Dispose() => Meter.Dispose();
}
