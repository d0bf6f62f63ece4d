using System.Net.Sockets;
using System.Text;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>Programs that act on the agent's reports: HAProxy and Prometheus, from Debian's packages.</summary>
public sealed class LoadBalancerTests : IDisposable
{
    private readonly Lab _lab;
    private readonly AgentProcess _agent;
    private readonly int _port;
    private TestCgroup? _cgroup;
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-peers");

    public LoadBalancerTests()
    {
        Live.Require("haproxy", "prometheus");
        _lab = new Lab();
        _port = _lab.Server.Listen();
        _agent = new AgentProcess(_lab.Client);
        _agent.WritePolicy(PolicyText.For($"{Lab.ServerAddress}, \"{Lab.ServerAddress6}\"", "time: 1s, interval: 1s, probes: 2"));
    }

    [Theory]
    [InlineData("pidfd")]
    [InlineData("bpf")]
    public void HAProxy_PeerStopsAnswering_TakesTheServerOutAndPutsItBack(string datapath)
    {
        if (datapath == "bpf")
        {
            _cgroup = new TestCgroup();
            _cgroup.Add(_lab.Client.Pid);
            _agent.UseBpf(_cgroup);
        }
        int id = _lab.Client.Connect(Lab.ServerAddress, _port);
        _lab.Client.Connect(Lab.ServerAddress6, _port);
        var agent = _agent.LaunchBy([], ["--interval", "500ms", "--listen", "none", "--agent-check", "127.0.0.1:9777"], inside: _lab.Client);
        AgentProcess.WaitForEvent(agent, AgentEvents.Ready);
        Assert.True(_lab.Client.Get(id).On);

        // HAProxy's own check only makes handshakes, which show that a server is back. Failed checks never take a server out.
        string stats = Path.Combine(_directory.FullName, "stats");
        string options = "check inter 500ms fall 100000 agent-check agent-addr 127.0.0.1 agent-port 9777 agent-inter 200ms agent-send";
        string configuration = Path.Combine(_directory.FullName, "haproxy.cfg");
        File.WriteAllText(configuration, $"""
            global
              stats socket {stats} mode 600
            defaults
              mode tcp
              timeout connect 1s
              timeout client 10s
              timeout server 10s
            listen database
              bind 127.0.0.1:15432
              server four {Lab.ServerAddress}:{_port} {options} "{Lab.ServerAddress}:{_port}\n"
              server six [{Lab.ServerAddress6}]:{_port} {options} "[{Lab.ServerAddress6}]:{_port}\n"

            """);
        using var haproxy = new ProgramRun(["haproxy", "-db", "-f", configuration], _lab.Client);
        Eventually.True(() => Status("four") == "UP" && Status("six") == "UP", TimeSpan.FromSeconds(20));
        // HAProxy has asked the agent, too, and has its answer.
        Eventually.True(() => Column("four", "agent_status") == "L7OK", TimeSpan.FromSeconds(10));

        _lab.BlackHole(Lab.ServerAddress);
        Eventually.True(() => Status("four") == "DOWN (agent)", TimeSpan.FromSeconds(20));
        Assert.Equal("UP", Status("six"));
        Assert.Contains("no answer to keepalive probes", Column("four", "last_agt"), StringComparison.Ordinal);
        AgentProcess.WaitForEvent(agent, AgentEvents.EndpointOut);

        // No connection is left for a pass to see. HAProxy's own handshakes show that the server is back.
        _lab.Restore();
        Eventually.True(() => Status("four") == "UP", TimeSpan.FromSeconds(20));
        AgentProcess.WaitForEvent(agent, AgentEvents.EndpointBack);

        string Status(string server) => Column(server, "status");

        string Column(string server, string name)
        {
            try
            {
                using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                socket.Connect(new UnixDomainSocketEndPoint(stats));
                socket.Send("show stat\n"u8);
                using var reader = new StreamReader(new NetworkStream(socket), Encoding.UTF8);
                var rows = reader.ReadToEnd().Split('\n').Select(line => line.TrimStart('#', ' ').Split(',')).ToList();
                return rows.First(row => row.Length > 1 && row[1] == server)[Array.IndexOf(rows[0], name)];
            }
            catch (SocketException) when (!haproxy.HasExited)
            {
                return "";   // HAProxy has not opened it yet
            }
        }
    }

    [Fact]
    public void Prometheus_SocketsManagedProbesAnsweredAndAPeerGone_QueriesShowIt()
    {
        const int connections = 20;
        string listen = AgentHttp.FreeAddress();
        string prometheusListen = AgentHttp.FreeAddress();
        _lab.Client.ConnectMany(Lab.ServerAddress, _port, connections);
        _lab.Client.Connect(Lab.ServerAddress6, _port);
        var agent = _agent.LaunchBy([], ["--interval", "500ms", "--listen", listen]);
        AgentProcess.WaitForEvent(agent, AgentEvents.Ready);
        string configuration = Path.Combine(_directory.FullName, "prometheus.yml");
        File.WriteAllText(configuration, $"""
            global:
              scrape_interval: 500ms
            scrape_configs:
            - job_name: keepalive-agent
              static_configs:
              - targets: ["{listen}"]

            """);
        using var prometheus = new ProgramRun(
        [
            "prometheus", $"--config.file={configuration}", $"--storage.tsdb.path={Path.Combine(_directory.FullName, "data")}",
            $"--web.listen-address={prometheusListen}", "--log.level=warn", "--query.lookback-delta=5s",
        ]);
        using var http = new AgentHttp(prometheusListen);

        Becomes("up", 1);
        Becomes("sum(keepalive_sockets{state=\"managed\"})", connections + 1);
        Becomes("min(keepalive_collector_success)", 1);
        Becomes("sum(keepalive_destination_in_pool)", 2);
        Becomes("keepalive_policies{state=\"invalid\"}", 0);
        Becomes("count(process_resident_memory_bytes)", 1);
        Becomes("count(keepalive_agent_info{datapath=\"pidfd\"})", 1);
        // Every connection sends a probe each second, and all are answered.
        AtLeast("sum(rate(keepalive_probes_total[3s]))", connections / 2);
        AtLeast("sum(keepalive_probe_replies_total) / sum(keepalive_probes_total)", 0.9);
        AtLeast("histogram_quantile(0.9, sum by (le) (rate(keepalive_probe_rtt_seconds_bucket[3s])))", 0.000001);

        _lab.BlackHole(Lab.ServerAddress);
        string four = $"endpoint=\"{Lab.ServerAddress}:{_port}\"";
        Becomes($"keepalive_destination_in_pool{{{four}}}", 0);
        Becomes($"sum(keepalive_destination_in_pool{{endpoint!=\"{Lab.ServerAddress}:{_port}\"}})", 1);
        Becomes("sum(keepalive_connections_dead_total{cause=\"probes\"})", connections);

        // A series ends when its connections end.
        _lab.Restore();
        _lab.Client.Connect(Lab.ServerAddress, _port);
        Becomes($"keepalive_destination_in_pool{{{four}}}", 1);
        _lab.Client.CloseAll();
        _agent.WritePolicy(PolicyText.For("203.0.113.1", PolicyText.GuideValues));
        Becomes("count(keepalive_sockets) or vector(0)", 0);
        Becomes("count(keepalive_destination_in_pool) or vector(0)", 0);

        void Becomes(string query, double value) => Eventually.Value(() => Query(query), found => found == value, TimeSpan.FromSeconds(30), what: $"{query} == {value}");

        void AtLeast(string query, double value) => Eventually.Value(() => Query(query), found => found >= value, TimeSpan.FromSeconds(30), what: $"{query} >= {value}");

        double? Query(string query)
        {
            try
            {
                var answer = http.Json("/api/v1/query?query=" + Uri.EscapeDataString(query));
                var result = answer.GetProperty("data").GetProperty("result");
                return result.GetArrayLength() == 0
                    ? null
                    : double.Parse(result[0].GetProperty("value")[1].GetString()!, System.Globalization.CultureInfo.InvariantCulture);
            }
            catch (Exception e) when (e is HttpRequestException or KeyNotFoundException or System.Text.Json.JsonException && !prometheus.HasExited)
            {
                return null;   // Prometheus is not ready yet
            }
        }
    }

    public void Dispose()
    {
        _agent.Dispose();
        _lab.Dispose();
        _cgroup?.Dispose();
        _directory.Delete(recursive: true);
    }
}
