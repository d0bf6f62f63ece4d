namespace Keepalive.Agent.Commands;

/// <summary>The help of every command: its options by subject, and an example.</summary>
internal static class AgentHelp
{
    private static readonly (string, string[]) s_output = ("Output", ["--output"]);
    private static readonly (string, string[]) s_kubectl = ("Cluster through kubectl", ClusterScope.Names);
    private static readonly (string, string[]) s_allNodes = ("All nodes, through kubectl", ClusterScope.NamesWithAgents);
    private static readonly (string, string[]) s_clusterForPods = ("Cluster", ["--kubernetes", "--kubernetes-api", "--node-name"]);

    public static ProgramHelp Pages { get; } = new(
        [
            ("keepalive-agent audit", BuildInformation.IsKubectlPlugin ? "connections of the cluster that a balancer would drop" : "connections of this host that a balancer would drop"),
            BuildInformation.IsKubectlPlugin
                ? ("keepalive-agent check", "problems of the cluster's policies, and whether they keep connections")
                : ("keepalive-agent check policy.yaml", "problems of a policy, and whether it keeps connections"),
            BuildInformation.IsKubectlPlugin
                ? ("keepalive-agent explain --socket 203.0.113.10:15443", "why a connection has its values")
                : ("keepalive-agent support", "what this kernel and these privileges allow"),
        ],
        new Dictionary<string, HelpPage>
        {
            [""] = new("keepalive-agent audit"),
            ["run"] = new(
                "keepalive-agent run --policies policy.yaml --once --dry-run",
                ("Sockets", ["--policies", "--keepalive", "--existing", "--side", "--once", "--dry-run", "--restore-on-exit", "--datapath", "--cgroup"]),
                ("Scope", ["--netns", "--namespaces", "--exclude-namespaces"]),
                ("Service", ["--interval", "--listen", "--listen-local", "--agent-check", "--capture", "--state-dir", "--data-dir", "--log-format", "--log-level"]),
                ("Cluster", ["--kubernetes", "--kubernetes-api", "--from", "--proxy-policies", "--mesh-revisions", "--node-name", "--pod-annotations"])),
            ["check"] = new(
                "keepalive-agent check policy.yaml --balancer aws-nlb",
                ("Balancer", ["--balancer", "--idle-timeout", "--connections"]),
                s_kubectl,
                s_output),
            ["audit"] = new(
                "keepalive-agent audit --balancer azure-lb --fail",
                ("Balancer", ["--balancer", "--idle-timeout"]),
                ("Sockets", ["--idle", "--policies", "--keepalive", "--fail"]),
                ("Scope", ["--netns", "--state-dir"]),
                s_clusterForPods,
                s_allNodes,
                s_output),
            ["render"] = new("keepalive-agent render policy.yaml | kubectl apply -f -", s_kubectl),
            ["explain"] = new(
                "keepalive-agent explain policy.yaml --to 203.0.113.10:15443",
                ("Connection", ["--to", "--socket", "--from", "--pod", "--side", "--keepalive"]),
                ("Scope", ["--netns", "--state-dir"]),
                s_clusterForPods,
                s_allNodes,
                s_output),
            ["sockets"] = new(
                "keepalive-agent sockets --policies policy.yaml",
                ("Sockets", ["--policies", "--keepalive", "--existing", "--side"]),
                ("Scope", ["--netns", "--state-dir"]),
                s_clusterForPods,
                s_allNodes,
                s_output),
            ["top"] = new(
                "keepalive-agent top",
                ("View", ["--once", "--every"]),
                ("Balancer", ["--balancer", "--idle-timeout"]),
                ("Scope", ["--netns", "--state-dir"]),
                s_output),
            ["probes"] = new("keepalive-agent probes capture.pcap", ("Capture", ["--interface", "--filter", "--write"]), ("Output", ["--summary", "--report", "--output"])),
            ["support"] = new("keepalive-agent support", ("Sockets", ["--cgroup", "--state-dir"]), s_output),
        });
}
