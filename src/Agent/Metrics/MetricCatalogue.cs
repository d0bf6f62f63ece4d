namespace Keepalive.Agent.Metrics;

/// <summary>Every metric of the agent: names, help and units in one place. Names are a contract with dashboards and alerts.</summary>
internal static class MetricCatalogue
{
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

    /// <summary>Label sets of a metric with series of their own; those beyond are counted under <see cref="Other"/>.</summary>
    public const int MostSeries = 1000;

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
}
