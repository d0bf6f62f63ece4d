using System.Globalization;
using System.Text.Json;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Lab;

/// <summary>
/// Labs whose programs are Debian's own: curl asks a proxy that keeps its connections to the server, HAProxy or nginx, once before and once
/// after an idle time longer than the balancer's. All at once, each with the same addresses and ports as the others.
/// </summary>
public sealed class ProxyRuns : IDisposable
{
    public const double IdleTimeout = 4;
    private const double Wait = 6;

    private const string Policy = """
        apiVersion: resilience.policy.gloo.solo.io/v2
        kind: ConnectionPolicy
        metadata:
          name: tcp-keepalive
        spec:
          applyToDestinations:
          - kind: EXTERNAL_SERVICE
            selector: {}
          config:
            tcp:
              tcpKeepalive: { time: TIME, interval: 1s, probes: 5 }
        ---
        apiVersion: networking.gloo.solo.io/v2
        kind: ExternalService
        metadata:
          name: every-connection
        spec:
          addresses: ["0.0.0.0/0", "::/0"]
          ports:
          - number: 80
            protocol: HTTP

        """;

    private static readonly string[] s_tools = ["curl", "nginx", "haproxy"];

    private readonly string _directory = Directory.CreateTempSubdirectory("keepalive-lab-test-").FullName;
    private readonly Dictionary<string, ProxyRun> _runs = [];

    public ProxyRuns()
    {
        if (LiveSupport.Missing(s_tools) is not null)
        {
            return;
        }
        var fitting = Write("fitting.yaml", Policy.Replace("TIME", "1s", StringComparison.Ordinal));
        var tooLate = Write("too-late.yaml", Policy.Replace("TIME", "10s", StringComparison.Ordinal));
        using var outside = new Outsider();
        var running = new Dictionary<string, ProgramRun>();
        try
        {
            foreach (var proxy in new[] { "haproxy", "nginx" })
            {
                foreach (var balancer in new[] { "aws-nlb", "azure-lb" })
                {
                    Start(proxy, balancer, "alone");
                    Start(proxy, balancer, "agent", "--agent", fitting, "--agent-program", ProgramRun.AgentPath);
                }
            }
            Start("nginx", "aws-nlb", "late", "--agent", tooLate, "--agent-program", ProgramRun.AgentPath);
            Start("curl", "azure-lb-tcp-reset", "alone", "--pcap", Capture);
            foreach (var (name, run) in running)
            {
                var exitCode = run.WaitForExit(TimeSpan.FromSeconds(90));
                _runs[name] = new ProxyRun(name, exitCode, LabEvents.Parse(run.Output), run.Error);
            }
        }
        finally
        {
            foreach (var run in running.Values)
            {
                run.Dispose();
            }
        }
        OutsideBefore = outside.Before;
        OutsideAfter = outside.Values();

        void Start(string proxy, string balancer, string variant, params string[] options)
        {
            var name = $"{proxy}-{balancer}-{variant}";
            var place = Directory.CreateDirectory(Path.Combine(_directory, name)).FullName;
            running[name] = LabEvents.Start(
                ["--balancer", balancer, "--idle-timeout", $"{IdleTimeout}s", "--server", Server(proxy, place, name), "--client", Client(proxy, place), .. options]);
        }
    }

    /// <summary>The lab with only curl.</summary>
    public string Capture => Path.Combine(_directory, "frames.pcapng");

    /// <summary>The keepalive values of a connection outside all labs, to the address and port of their server.</summary>
    internal KeepaliveValues OutsideBefore { get; }

    internal KeepaliveValues OutsideAfter { get; } = new(true, 0, 0, 0);

    internal IEnumerable<ProxyRun> All => _runs.Values;

    internal ProxyRun this[string name]
    {
        get
        {
            Live.Require(s_tools);
            return _runs[name];
        }
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    /// <summary>The server that is not the proxy, in the foreground; it answers with the lab's name.</summary>
    private static string Server(string proxy, string place, string name) => proxy == "haproxy"
        ? $"exec {Nginx.Server(Path.Combine(place, "server"), name)}"
        : "exec haproxy -db -f " + Write(place, "server.cfg", $$"""
            defaults
              mode http
              timeout client 60s
              timeout http-keep-alive 60s
              timeout server 60s
              timeout connect 5s
            frontend in
              bind :80
              http-request return status 200 content-type text/plain string "{{name}}\n"

            """);

    private static string Client(string proxy, string place)
    {
        const string url = "http://127.0.0.1:8080";
        var command = proxy switch
        {
            "haproxy" => "haproxy -db -f " + Write(place, "proxy.cfg", """
                defaults
                  mode http
                  timeout client 60s
                  timeout http-keep-alive 60s
                  timeout server 2s
                  timeout connect 5s
                  retries 0
                  no option redispatch
                frontend in
                  bind 127.0.0.1:8080
                  monitor-uri /ready
                  default_backend out
                backend out
                  http-reuse always
                  server s "${LAB_SERVER}":80 pool-purge-delay 60s

                """),
            "nginx" => Nginx.Command(Path.Combine(place, "proxy"), """
                upstream out { server 203.0.113.10:80; keepalive 4; keepalive_timeout 60s; }
                server {
                  listen 127.0.0.1:8080;
                  location /ready { return 204; }
                  location / {
                    proxy_pass http://out;
                    proxy_http_version 1.1;
                    proxy_set_header Connection "";
                    proxy_next_upstream off;
                    proxy_read_timeout 2s;
                  }
                }
                """),
            _ => null,
        };
        return command is null
            ? $"exec curl -sS -w '%{{http_code}}\\n' --rate {60 / Wait}/m http://$LAB_SERVER/ http://$LAB_SERVER/"
            : $$"""
                {{command}} & proxy=$!
                ask() { curl -sS -m 30 -w '%{http_code}\n' {{url}}/; }
                until curl -sf {{url}}/ready >/dev/null; do kill -0 $proxy || exit 9; sleep 0.05; done
                ask; sleep {{Wait}}; ask
                """;
    }

    private static string Write(string place, string name, string text)
    {
        var path = Path.Combine(place, name);
        File.WriteAllText(path, text);
        return path;
    }

    private string Write(string name, string text) => Write(_directory, name, text);

    /// <summary>An application outside all labs, connected to the same address and port.</summary>
    private sealed class Outsider : IDisposable
    {
        private readonly Holder _holder = Holder.StartInNewNamespace();
        private readonly int _connection;

        public Outsider()
        {
            _holder.Run("ip", "address", "add", "203.0.113.10/32", "dev", "lo");
            _holder.Listen("203.0.113.10", 80);
            _connection = _holder.Connect("203.0.113.10", 80);
            Before = Values();
        }

        public KeepaliveValues Before { get; }

        public KeepaliveValues Values() => _holder.Get(_connection);

        public void Dispose() => _holder.Dispose();
    }
}

/// <summary>A lab that has ended.</summary>
internal sealed record ProxyRun(string Name, int ExitCode, IReadOnlyList<JsonElement> Events, string Error)
{
    /// <summary>curl's answers.</summary>
    public IEnumerable<string> Answers => Events.Lines("client").Select(line => line.Text("text")).Where(text => text.Length == 3 && text.All(char.IsAsciiDigit));

    public string Story => $"{Name}: exit code {ExitCode}\n{string.Join('\n', Events)}\n{Error}";
}

[Collection(LabEvents.Programs)]
public sealed class ProxyTests(ProxyRuns runs) : IClassFixture<ProxyRuns>
{
    private const double Timeout = ProxyRuns.IdleTimeout;

    [Theory]
    [InlineData("haproxy", "aws-nlb", "502")]
    [InlineData("haproxy", "azure-lb", "504")]
    [InlineData("nginx", "aws-nlb", "502")]
    [InlineData("nginx", "azure-lb", "504")]
    public void Proxy_PooledConnectionIdledOut_AnswersWithItsOwnError(string proxy, string balancer, string status)
    {
        var run = runs[$"{proxy}-{balancer}-alone"];

        AssertAnswers(run, "200", status);
        var events = run.Events;
        var opened = Assert.Single(events.Of("opened"));
        var expired = Assert.Single(events.Of("expired"));
        Assert.Equal(opened.Text("client"), expired.Text("client"));
        Assert.InRange(expired.Number("idle"), Timeout, Timeout + 1);
        // The time since curl's first answer agrees, too. The answer may have been read late.
        var answered = events.Lines("client").First(line => line.Text("text") == "200").Number("time");
        Assert.InRange(expired.Number("time") - answered, Timeout - 2, Timeout + 1);
        Assert.Contains(events.Of("swallowed"), packet => packet.Text("from") == "client" && packet.Number("length") > 0);
        // The server closes its end when it is stopped, after the client's end.
        var resets = events.TakeWhile(what => what.Text("event") != "exited").Of("reset").Select(reset => reset.Text("to"));
        Assert.Equal(balancer == "aws-nlb" ? ["client"] : [], resets);
    }

    [Theory]
    [InlineData("haproxy", "aws-nlb")]
    [InlineData("haproxy", "azure-lb")]
    [InlineData("nginx", "aws-nlb")]
    [InlineData("nginx", "azure-lb")]
    public void Proxy_WithAFittingPolicy_AnswersOverTheSameConnection(string proxy, string balancer)
    {
        var run = runs[$"{proxy}-{balancer}-agent"];

        AssertAnswers(run, "200", "200");
        Assert.Single(run.Events.Of("opened"));
        Assert.Empty(run.Events.Of("expired"));
        Assert.True(run.Events.Of("refreshed").Count() >= 2, run.Story);
        Assert.All(run.Events.Of("refreshed"), probe => Assert.Equal("client", probe.Text("from")));
        Assert.Contains(run.Events.Lines("agent", "stderr"), line => line.Text("text").Contains("keepalive off → on", StringComparison.Ordinal));
    }

    [Fact]
    public void Proxy_WithAPolicyThatProbesTooLate_StillFails()
    {
        var run = runs["nginx-aws-nlb-late"];

        AssertAnswers(run, "200", "502");
        Assert.Contains(run.Events.Lines("agent", "stderr"), line => line.Text("text").Contains("time 7200s → 10s", StringComparison.Ordinal));
        Assert.Empty(run.Events.Of("refreshed"));
    }

    [Fact]
    public void Curl_ConnectionResetWhileIdle_OpensAnother()
    {
        var run = runs["curl-azure-lb-tcp-reset-alone"];

        AssertAnswers(run, "200", "200");
        Assert.Equal(2, run.Events.Of("opened").Count());
        Assert.Equal(["client", "server"], run.Events.Of("reset").Select(reset => reset.Text("to")));
    }

    [Fact]
    public void Capture_ResetAtExpiry_CameWithinASecondOfTheTimeout()
    {
        var run = runs["curl-azure-lb-tcp-reset-alone"];
        Live.Require("tcpdump");

        // The first connection's port comes from the balancer's events, everything else from the file.
        var port = run.Events.Of("opened").First().Text("client").Split(':')[1];
        var frames = Command.Run("tcpdump", "-r", runs.Capture, "-n", "-tt", $"tcp port {port}").Lines
            .Select(line => (Time: double.Parse(line.Split(' ')[0], CultureInfo.InvariantCulture), IsReset: line.Contains("Flags [R", StringComparison.Ordinal))).ToList();
        Assert.Equal(2, frames.Count(frame => frame.IsReset));
        var last = frames.TakeWhile(frame => !frame.IsReset).Last();
        Assert.InRange(frames.First(frame => frame.IsReset).Time - last.Time, Timeout, Timeout + 1);
    }

    [Fact]
    public void Capture_EveryForwardedFrame_IsOnBothSides()
    {
        var run = runs["curl-azure-lb-tcp-reset-alone"];
        Live.Require("tcpdump");
        var summary = run.Events[^1];

        var count = Command.Run("tcpdump", "-r", runs.Capture, "-n").Lines.Count();

        // Each frame on both sides, and the balancer's own frames. No frame was dropped here.
        Assert.Equal(0, summary.Number("swallowed"));
        Assert.Equal((2 * summary.Number("frames")) + summary.Number("resets"), count);
        Assert.True(summary.Number("frames") > 10, run.Story);
    }

    [Fact]
    public void Capture_InterfacesAndForgedFrames_AreNamedForWireshark()
    {
        var run = runs["curl-azure-lb-tcp-reset-alone"];
        Assert.SkipUnless(Command.Exists("tshark"), "tshark is not installed");

        var frames = Command.Run("tshark", "-r", runs.Capture, "-T", "fields", "-e", "frame.interface_name", "-e", "tcp.flags.reset", "-e", "frame.comment").Lines
            .Select(line => line.Split('\t')).ToList();
        Assert.Equal(["client", "server"], frames.Select(frame => frame[0]).Distinct().Order(StringComparer.Ordinal));
        Assert.Equal(
            [("client", "1"), ("server", "1")],
            frames.Where(frame => frame[2] == "sent by the balancer").Select(frame => (frame[0], frame[1].Replace("True", "1", StringComparison.Ordinal))));
        Assert.True(run.Events.Count > 0);
    }

    [Fact]
    public void Labs_AllAtOnceWithTheSameAddresses_EachHasItsOwnServer()
    {
        Live.Require("curl", "nginx", "haproxy");

        Assert.Equal(10, runs.All.Count());
        Assert.All(runs.All, run => Assert.Equal(run.Name, run.Events.Lines("client").First().Text("text")));
        Assert.All(runs.All, run => Assert.All(
            run.Events.Lines("client").Select(line => line.Text("text")).Where(text => text.Contains("-nlb-", StringComparison.Ordinal)),
            text => Assert.Equal(run.Name, text)));
    }

    [Fact]
    public void Agent_InALab_DoesNotChangeAConnectionOutside()
    {
        Live.Require("curl", "nginx", "haproxy");

        Assert.Equal(runs.OutsideBefore, runs.OutsideAfter);
        Assert.False(runs.OutsideAfter.On);
    }

    private static void AssertAnswers(ProxyRun run, params string[] expected)
    {
        Assert.True(run.ExitCode == 0, run.Story);
        Assert.True(expected.SequenceEqual(run.Answers), run.Story);
    }
}
