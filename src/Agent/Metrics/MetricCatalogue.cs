namespace Keepalive.Agent.Metrics;

/// <summary>Every metric of the agent: names, help and units in one place. Names are a contract with dashboards and alerts.</summary>
internal static class MetricCatalogue
{
    public const string Sockets = "keepalive_sockets";
    public const string ShortUserTimeouts = "keepalive_short_user_timeouts";
    public const string UnprotectedSockets = "keepalive_unprotected_sockets";
    public const string AppliedTotal = "keepalive_applied_total";
    public const string ApplyFailuresTotal = "keepalive_apply_failures_total";
    public const string ArrivalsLeftTotal = "keepalive_arrivals_left_total";
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
    public const string CaptureContradictionsTotal = "keepalive_capture_contradictions_total";
    public const string KubernetesStateAgeSeconds = "keepalive_kubernetes_state_age_seconds";
    public const string KubernetesStateStale = "keepalive_kubernetes_state_stale";
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

    /// <summary>The label value of combined series, if there are too many label sets.</summary>
    public const string Other = "other";

    /// <summary>The maximum number of label sets of a metric that have their own series. Further ones are counted under
    /// <see cref="Other"/>.</summary>
    public const int MaxSeries = 1000;

    /// <summary>Upper bounds in seconds: from an idle node's pass to a pass that is as long as the default interval.</summary>
    public static readonly double[] ScanDurationBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

    /// <summary>Upper bounds in seconds: from a reply of the same host to one from the far side of the world, and to one that comes too
    /// late to be useful.</summary>
    public static readonly double[] ProbeRoundTripBuckets = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

    /// <summary>Help text by metric name.</summary>
    public static readonly IReadOnlyDictionary<string, string> Help = new Dictionary<string, string>
    {
        [Sockets] = "Sockets that a policy selects, by state: managed, kept, failed, wouldApply.",
        [ShortUserTimeouts] = "Sockets with a policy's values that their TCP_USER_TIMEOUT ends before the policy's probes are spent.",
        [UnprotectedSockets] = "Connections to other hosts without keepalive or with a first probe that comes too late, by reason: noPolicy, tooLate, wouldApply, application, userTimeout, or the reason of the failure.",
        [AppliedTotal] = "Number of times a policy's values were written to a socket.",
        [ApplyFailuresTotal] = "Selected sockets that could not be set, by reason.",
        [ArrivalsLeftTotal] = "New connections that the kernel could not set when they were established; the next pass sets them.",
        [ArrivalsLostTotal] = "New connections that were set but not reported because there were too many; the next pass counts those still open.",
        [RestoredTotal] = "Sockets whose own values were restored.",
        [ScanDurationSeconds] = "Duration of a pass over the node's sockets, without the time to spread changes.",
        [ScannedSockets] = "Sockets enumerated in the last pass.",
        [NetworkNamespaces] = "Network namespaces with processes, by state: watched, failed (could not be examined), skipped (its owner has too many).",
        [Policies] = "Policies by state: loaded (in force), invalid (files and objects of the cluster with errors, plus 1 if the set is refused as a whole).",
        [PolicyLoadFailuresTotal] = "Number of times a changed set of policies was refused because of errors.",
        [PolicyLoadedTimestampSeconds] = "Time when the policies in force were loaded, in seconds since the Unix epoch.",
        [ProbesTotal] = "Keepalive probes sent on connections that a policy selects.",
        [ProbeRepliesTotal] = "Replies to keepalive probes.",
        [ProbesUnansweredTotal] = "Keepalive probes without a reply before the next probe or the connection's end.",
        [ProbeRoundTripSeconds] = "Time from a keepalive probe to its reply.",
        [ConnectionsDeadTotal] = "Connections that ended because their other end is gone, by cause: probes, reset, timeout.",
        [DestinationInPool] = "Whether an endpoint is in the pool: 0 after a connection died of unanswered probes, until the endpoint answers again.",
        [CapturePacketsTotal] = "Packets captured, without payload.",
        [CaptureContradictionsTotal] = "Connections that the kernel ended although replies to their probes were captured: something on the node drops the replies.",
        [CaptureDroppedTotal] = "Packets that the kernel dropped because they were not read in time.",
        [KubernetesStateStale] = "1 while the objects of a kind are those that an earlier agent kept, because the API server has not answered since the start.",
        [KubernetesStateAgeSeconds] = "Time since the API server last confirmed the state of a kind: about a minute is normal, more than three is not.",
        [CollectorSuccess] = "Whether a collector succeeded (1); if it failed (0), its series are missing.",
        [CollectorDurationSeconds] = "Time that a collector took for the scrape.",
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
