namespace Keepalive.Simulator.Commands;

/// <summary>The help of every command: its options by subject, and an example.</summary>
internal static class SimulatorHelp
{
    private static readonly (string, string[]) s_output = ("Output", ["--output"]);
    private static readonly (string, string[]) s_balancer = ("Balancer", ["--balancer", "--idle-timeout", "--expiry", "--refresh"]);

    public static ProgramHelp Pages { get; } = new(
        [
            ("keepalive-sim demo", "the outage and its cure on real sockets, in under a minute"),
            ("keepalive-sim balancers", "when load balancers, NATs and firewalls drop idle connections"),
            ("keepalive-sim advise --balancer aws-nlb", "a policy for your balancer"),
        ],
        new Dictionary<string, HelpPage>
        {
            [""] = new("keepalive-sim demo"),
            ["balancers"] = new("keepalive-sim balancers", s_output),
            ["demo"] = new("keepalive-sim demo", ("Agent", ["--agent-program", "--no-agent"]), ("Output", ["--report"])),
            ["lab"] = new(
                "keepalive-sim lab --balancer aws-nlb --idle-timeout 3s --server 'nginx -g \"daemon off;\"' \\\n      --client 'curl -s http://$LAB_SERVER/'",
                ("Sides", ["--server", "--client"]),
                s_balancer,
                ("Agent", ["--agent", "--agent-program"]),
                ("Output", ["--pcap", "--report", "--output"])),
            ["run"] = new(
                "keepalive-sim run guide-outage --set keepalive.time=60s",
                ("Scenario", ["--list", "--show", "--set", "--balancer", "--idle-timeout"]),
                ("Engine", ["--every-probe", "--threads"]),
                ("Output", ["--report", "--output"])),
            ["sweep"] = new(
                "keepalive-sim sweep guide-policy --set keepalive.time=100s..700s/4 --out grid.csv",
                ("Scenario", ["--set", "--balancer", "--idle-timeout", "--shard"]),
                ("Engine", ["--every-probe", "--threads"]),
                ("Output", ["--out", "--report", "--svg", "--output"])),
            ["merge"] = new("keepalive-sim merge shard-*.jsonl --out grid.csv", ("Output", ["--out", "--report", "--svg", "--output"])),
            ["advise"] = new(
                "keepalive-sim advise --balancer aws-nlb --loss 1% --detect-within 2m",
                s_balancer,
                ("Network", ["--loss", "--rtt", "--service-time", "--address"]),
                ("Goal", ["--detect-within", "--target", "--connections", "--hz"]),
                ("Engine", ["--threads"]),
                ("Output", ["--for", "--output"])),
            ["discover"] = new(
                "keepalive-sim discover db.example.org:5432 --out balancer.yaml",
                ("Far end", ["--http", "--send", "--direct"]),
                ("Effort", ["--until", "--precision", "--connections"]),
                ("Output", ["--name", "--out", "--report", "--output"])),
        });
}
