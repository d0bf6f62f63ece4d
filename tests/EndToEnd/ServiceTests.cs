using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary><c>run</c> as a service: its pages, reloads, signals and ends.</summary>
public sealed class ServiceTests : IDisposable
{
    private static readonly KeepaliveValues s_untouched = new(false, 7200, 75, 9);
    private static readonly KeepaliveValues s_guide = new(true, 700, 10, 20);
    private static readonly KeepaliveValues s_short = new(true, 60, 5, 3);

    private readonly Lab _lab;
    private readonly AgentProcess _agent;
    private readonly int _port;
    private readonly string _address = AgentHttp.FreeAddress();
    private readonly AgentHttp _http;

    public ServiceTests()
    {
        Live.Require();
        _lab = new Lab();
        _port = _lab.Server.Listen();
        _agent = new AgentProcess(_lab.Client);
        _http = new AgentHttp(_address);
        _agent.WritePolicy(PolicyText.For(Lab.ServerAddress, PolicyText.GuideValues));
    }

    private string SocketPath => Path.Combine(_agent.StateDirectory, "agent.sock");

    [Fact]
    public void Pages_OnEachListener_AreThoseThatAreMeantForIt()
    {
        string local = AgentHttp.FreeAddress();
        int id = _lab.Client.Connect(Lab.ServerAddress, _port);
        var run = Start("--listen-local", local);
        string endpoint = $"{Lab.ServerAddress}:{_port}";
        _lab.Client.Connect(Lab.ServerAddress6, _port);
        Eventually.True(() => _http.Sum("keepalive_unprotected_sockets", "reason=\"noPolicy\"") == 1, TimeSpan.FromSeconds(10));

        Assert.Equal((HttpStatusCode.OK, "ok\n"), _http.Get("/healthz"));
        var ready = _http.Json("/readyz");
        Assert.True(ready.GetProperty("ready").GetBoolean());
        Assert.Equal(0, ready.GetProperty("problems").GetArrayLength());
        Assert.Equal(HttpStatusCode.OK, _http.Get("/destinations/" + endpoint).Status);
        Assert.Equal(HttpStatusCode.NotFound, _http.Get($"/destinations/{Lab.ServerAddress}:{_port + 1}").Status);
        Assert.Equal(HttpStatusCode.NotFound, _http.Get("/destinations/[::1]:443").Status);
        Assert.Equal(HttpStatusCode.NotFound, _http.Get("/destinations/nonsense").Status);
        foreach (string path in new[] { "/", "/sockets", "/destinations", "/Metrics", "/metrics/", "/../metrics/x", "/favicon.ico" })
        {
            Assert.Equal(HttpStatusCode.NotFound, _http.Get(path).Status);
        }
        Assert.Equal(HttpStatusCode.MethodNotAllowed, _http.Get("/metrics", HttpMethod.Delete).Status);
        using (var head = _http.Send("/metrics", HttpMethod.Head))
        {
            Assert.Equal("text/plain; version=0.0.4; charset=utf-8", head.Content.Headers.ContentType!.ToString());
            Assert.True(head.Content.Headers.ContentLength > 1000);
            using var body = head.Content.ReadAsStream();
            Assert.Equal(-1, body.ReadByte());
        }

        // Only root may read the pages about other users' connections.
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(SocketPath));
        using var unix = AgentHttp.OverUnixSocket(SocketPath);
        using var loopback = new AgentHttp(local);
        foreach (var http in new[] { unix, loopback })
        {
            var socket = Assert.Single(http.Json("/sockets").EnumerateArray());
            Assert.Equal(_lab.Client.Cookie(id), socket.GetProperty("cookie").GetUInt64());
            Assert.Equal(_lab.Client.LocalEndPoint(id).ToString(), socket.GetProperty("local").GetString());
            Assert.Equal(_lab.Client.Pid, socket.GetProperty("pid").GetInt32());
            Assert.Equal((700, true), (socket.GetProperty("time").GetInt32(), socket.GetProperty("managed").GetBoolean()));
            var destination = Assert.Single(http.Json("/destinations").EnumerateArray());
            Assert.Equal(endpoint, destination.GetProperty("endpoint").GetString());
            Assert.True(destination.GetProperty("inPool").GetBoolean());
            Assert.Equal(HttpStatusCode.OK, http.Get("/healthz").Status);
        }
        // DNS rebinding: a web page whose name resolves to 127.0.0.1.
        Assert.Equal(HttpStatusCode.MisdirectedRequest, loopback.Get("/sockets", host: "example.org").Status);
        run.Terminate();
        Assert.Equal(0, run.WaitForExit());
        Assert.False(File.Exists(SocketPath));
    }

    [Fact]
    public void ListenLocal_NotLoopback_IsRefused()
    {
        var result = _agent.LaunchBy([], ["--listen-local", "0.0.0.0:9465"]);
        Assert.Equal(2, result.WaitForExit());
        Assert.Contains("--listen-local takes a loopback address", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Reload_ConfigMapSwapped_IsLoadedWithinSecondsUnlessInvalid()
    {
        int id = _lab.Client.Connect(Lab.ServerAddress, _port);
        string mount = Directory.CreateDirectory(Path.Combine(Path.GetDirectoryName(_agent.PolicyPath)!, "mount")).FullName;
        Swap(mount, 1, PolicyText.For(Lab.ServerAddress, PolicyText.GuideValues));
        File.CreateSymbolicLink(Path.Combine(mount, "policy.yaml"), "..data/policy.yaml");
        // An interval longer than any wait of this test.
        var run = _agent.LaunchBy([], ["--interval", "1h", "--listen", _address], policies: mount);
        AgentProcess.WaitForEvent(run, AgentEvents.Ready);
        Assert.Equal(s_guide, _lab.Client.Get(id));

        var clock = Stopwatch.StartNew();
        Swap(mount, 2, PolicyText.For(Lab.ServerAddress, "time: 60s, interval: 5s, probes: 3"));
        AgentProcess.WaitForEvent(run, AgentEvents.PolicyLoaded, times: 2);
        Eventually.True(() => _lab.Client.Get(id) == s_short, TimeSpan.FromSeconds(5));
        Assert.InRange(clock.Elapsed.TotalSeconds, 0, 10);

        Swap(mount, 3, PolicyText.For(Lab.ServerAddress, "time: 99999h"));
        AgentProcess.WaitForEvent(run, AgentEvents.PolicyRefused);
        var ready = Eventually.Value(() => _http.Json("/readyz"), r => !r.GetProperty("policiesValid").GetBoolean(), TimeSpan.FromSeconds(5)).Value;
        Assert.True(ready.GetProperty("ready").GetBoolean());
        string problems = string.Join('\n', ready.GetProperty("problems").EnumerateArray().Select(p => p.GetString()));
        Assert.Contains("its last good content, loaded ", problems, StringComparison.Ordinal);
        Assert.Matches(@"policy\.yaml:\d+:\d+: error KA\d+: ", problems);
        Assert.Equal((1, 1, 1), (_http.Sum("keepalive_policies", "invalid"), _http.Sum("keepalive_policies", "loaded"), _http.Sum("keepalive_policy_load_failures_total")));
        Assert.Equal(s_short, _lab.Client.Get(id));

        Swap(mount, 4, PolicyText.For(Lab.ServerAddress, PolicyText.GuideValues));
        AgentProcess.WaitForEvent(run, AgentEvents.PolicyLoaded, times: 3);
        Eventually.True(() => _lab.Client.Get(id) == s_guide, TimeSpan.FromSeconds(5));
        Assert.True(_http.Json("/readyz").GetProperty("policiesValid").GetBoolean());
        Assert.Equal(0, _http.Sum("keepalive_policies", "invalid"));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Systemd_ReadyReloadWatchdogAndStop_AreNotified(bool isAbstract)
    {
        string name = isAbstract ? $"@keepalive-{Guid.NewGuid():N}" : Path.Combine(Path.GetDirectoryName(_agent.PolicyPath)!, "notify");
        using var socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(isAbstract ? "\0" + name[1..] : name));
        var run = _agent.LaunchBy(
            [],
            ["--interval", "1h", "--listen", "none"],
            environment: new Dictionary<string, string?> { ["NOTIFY_SOCKET"] = name, ["WATCHDOG_USEC"] = "400000" });

        WaitFor("READY=1");
        WaitFor("WATCHDOG=1");
        long before = Stopwatch.GetTimestamp() / 1000;
        run.Signal("HUP");
        string reloading = WaitFor("RELOADING=1");
        long at = long.Parse(reloading.Split('\n').Single(line => line.StartsWith("MONOTONIC_USEC=", StringComparison.Ordinal))[15..], CultureInfo.InvariantCulture);
        Assert.InRange(at, before, Stopwatch.GetTimestamp() / 1000);
        WaitFor("READY=1");
        AgentProcess.WaitForEvent(run, AgentEvents.PolicyLoaded, times: 2);
        run.Terminate();
        WaitFor("STOPPING=1");
        Assert.Equal(0, run.WaitForExit(TimeSpan.FromSeconds(5)));

        string WaitFor(string line)
        {
            return Eventually.Value(Next, text => text.Split('\n').Contains(line), TimeSpan.FromSeconds(30), what: line).Value;

            string Next()
            {
                bool hasEnded = run.HasExited;
                if (!socket.Poll(TimeSpan.Zero, SelectMode.SelectRead))
                {
                    return hasEnded ? throw new TimeoutException(run.Report($"ended without {line}")) : "";
                }
                var buffer = new byte[4096];
                return Encoding.UTF8.GetString(buffer, 0, socket.Receive(buffer));
            }
        }
    }

    [Fact]
    public void Terminate_WithStalledReaders_RestoresAndEndsWithin5Seconds()
    {
        int id = _lab.Client.Connect(Lab.ServerAddress, _port);
        var run = Start("--restore-on-exit");
        var endpoint = IPEndPoint.Parse(_address);
        using var idle = new TcpClient();
        idle.Connect(endpoint);
        using var slow = new TcpClient();
        slow.Connect(endpoint);
        slow.GetStream().Write("GET /metrics HTTP/1.1\r\nHost: x\r\n"u8);
        Assert.Equal(s_guide, _lab.Client.Get(id));
        run.Terminate();
        Assert.Equal(0, run.WaitForExit(TimeSpan.FromSeconds(5)));
        Assert.Equal(s_untouched, _lab.Client.Get(id));
    }

    [Fact]
    public void Kill_AndStartedAgain_Starts()
    {
        int id = _lab.Client.Connect(Lab.ServerAddress, _port);
        var first = Start();
        first.Kill();
        first.WaitForExit();
        Assert.True(File.Exists(SocketPath));
        var second = Start("--restore-on-exit");
        using var unix = AgentHttp.OverUnixSocket(SocketPath);
        Assert.Single(unix.Json("/sockets").EnumerateArray());

        // A third instance is refused and does not affect the second.
        var third = _agent.LaunchBy([], ["--listen", "none"]);
        Assert.Equal(4, third.WaitForExit());
        Assert.Contains($"pid {second.Pid}", third.Error, StringComparison.Ordinal);
        Assert.Single(unix.Json("/sockets").EnumerateArray());
        second.Terminate();
        Assert.Equal(0, second.WaitForExit());
        Assert.Equal(s_untouched, _lab.Client.Get(id));
    }

    [Fact]
    public void Run_RootReadOnlyButForTheStateDirectory_Works()
    {
        int id = _lab.Client.Connect(Lab.ServerAddress, _port);
        Directory.CreateDirectory(_agent.StateDirectory);
        const string script = "mount -t tmpfs -o mode=755 tmpfs \"$1\" && mount -o remount,bind,ro / && shift && exec \"$@\"";
        var run = _agent.LaunchBy(["unshare", "--mount", "sh", "-c", script, "sh", _agent.StateDirectory], ["--interval", "1s", "--listen", _address]);
        AgentProcess.WaitForEvent(run, AgentEvents.Ready);
        Assert.Equal(s_guide, _lab.Client.Get(id));
        Assert.Equal(HttpStatusCode.OK, _http.Get("/readyz").Status);
        run.Terminate();
        Assert.Equal(0, run.WaitForExit(TimeSpan.FromSeconds(5)));
    }

    [Theory]
    [InlineData("--listen")]
    [InlineData("--listen-local")]
    [InlineData("--agent-check")]
    public void Run_PortInUse_Exits4WithThePortAndChangesNothing(string option)
    {
        int id = _lab.Client.Connect(Lab.ServerAddress, _port);
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        string[] others = option == "--listen" ? [] : ["--listen", "none"];
        var run = _agent.LaunchBy([], [.. others, option, taken.LocalEndpoint.ToString()!]);
        Assert.Equal(4, run.WaitForExit());
        Assert.Contains($"cannot listen on {taken.LocalEndpoint}: Address already in use. Choose another address with {option}", run.Error, StringComparison.Ordinal);
        Assert.Equal(s_untouched, _lab.Client.Get(id));
    }

    [Fact]
    public void Log_ThousandsOfChanges_AreAFewLinesAndASum()
    {
        const int count = 3000;
        var ids = _lab.Client.ConnectMany(Lab.ServerAddress, _port, count);
        var run = _agent.LaunchBy([], ["--interval", "500ms", "--listen", "none", "--log-format", "json"]);
        Eventually.True(() => _lab.Client.Get(ids.Last) == s_guide && _lab.Client.Get(ids.First) == s_guide, TimeSpan.FromSeconds(30));
        run.WaitForLine(line => line.StartsWith('{') && Event(line) == AgentEvents.SocketsLeftOut, TimeSpan.FromSeconds(30));
        var lines = run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(line => line.StartsWith('{')).ToList();
        int said = lines.Count(line => Event(line) == AgentEvents.SocketSet);
        Assert.InRange(said, 1, 200);
        Eventually.True(
            () => run.Error.Split('\n').Where(line => line.StartsWith('{') && Event(line) == AgentEvents.SocketsLeftOut)
                .Sum(line => JsonDocument.Parse(line).RootElement.GetProperty("State").GetProperty("Count").GetInt32())
                + run.Error.Split('\n').Count(line => line.StartsWith('{') && Event(line) == AgentEvents.SocketSet) == count,
            TimeSpan.FromSeconds(10));

        static int Event(string line) => JsonDocument.Parse(line).RootElement.GetProperty("EventId").GetInt32();
    }

    [Fact(DisableParallelization = true)]
    [Trait("Alone", "yes")]
    public async Task Metrics_200ScrapersAndReadersThatDoNotRead_PassesKeepTheirInterval()
    {
        const int scrapers = 200;
        var (interval, duration) = (TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(6));
        _lab.Client.ConnectMany(Lab.ServerAddress, _port, 50);
        var run = _agent.LaunchBy([], ["--interval", "1s", "--listen", _address, "--capture", "off"]);
        AgentProcess.WaitForEvent(run, AgentEvents.Ready);
        var stalled = Enumerable.Range(0, 50).Select(_ => Stall(IPEndPoint.Parse(_address))).ToList();
        try
        {
            double before = _http.Sum("keepalive_scan_duration_seconds_count");
            using var over = new CancellationTokenSource(duration);
            using var http = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = scrapers });
            int[] answers = await Task.WhenAll(Enumerable.Range(0, scrapers).Select(_ => Scrape(http, over.Token)));
            double passes = _http.Sum("keepalive_scan_duration_seconds_count") - before;
            // A busy machine, which makes the requests and answers them on two cores, may miss a few passes.
            Assert.InRange(passes, (duration / interval) - 2, (duration / interval) + 3);
            Assert.All(answers, count => Assert.InRange(count, 1, int.MaxValue));
            Assert.Equal(HttpStatusCode.OK, _http.Get("/healthz").Status);
            Assert.False(run.HasExited);
        }
        finally
        {
            stalled.ForEach(client => client.Dispose());
        }
    }

    [Fact]
    public void AgentCheck_Request_HasAnAnswerForHAProxy()
    {
        string check = AgentHttp.FreeAddress();
        _lab.Client.Connect(Lab.ServerAddress, _port);
        Start("--agent-check", check);
        Assert.Equal("up\n", Ask($"{Lab.ServerAddress}:{_port}\n"));
        Assert.Equal("up\n", Ask($"{Lab.ServerAddress}:{_port}\r\n"));
        // The endpoint is unknown. A "down" could never be taken back.
        Assert.Equal("up\n", Ask("192.0.2.1:1\n"));
        Assert.Equal("up\n", Ask("[fd77::2]:443"));
        Assert.StartsWith("#", Ask("GET / HTTP/1.1\r\n\r\n"), StringComparison.Ordinal);
        Assert.StartsWith("#", Ask(new string('x', 100_000)), StringComparison.Ordinal);
        Assert.StartsWith("#", Ask(""), StringComparison.Ordinal);

        string Ask(string question)
        {
            using var client = new TcpClient { ReceiveTimeout = 10_000 };
            client.Connect(IPEndPoint.Parse(check));
            var stream = client.GetStream();
            stream.Write(Encoding.ASCII.GetBytes(question));
            using var reader = new StreamReader(stream, Encoding.ASCII);
            return reader.ReadLine() + "\n";
        }
    }

    public void Dispose()
    {
        _http.Dispose();
        _agent.Dispose();
        _lab.Dispose();
    }

    private ProgramRun Start(params string[] more)
    {
        var run = _agent.LaunchBy([], ["--interval", "1s", "--listen", _address, .. more]);
        AgentProcess.WaitForEvent(run, AgentEvents.Ready);
        return run;
    }

    /// <summary>As the kubelet does: a directory with the new files, and a link that is renamed over the old link.</summary>
    private static void Swap(string mount, int version, string policy)
    {
        string directory = Path.Combine(mount, $"..2026_{version}");
        Directory.CreateDirectory(directory);
        File.WriteAllText(Path.Combine(directory, "policy.yaml"), policy);
        string next = Path.Combine(mount, "..data_tmp");
        File.CreateSymbolicLink(next, $"..2026_{version}");
        Command.Run("mv", "-T", next, Path.Combine(mount, "..data"));
        if (version > 1)
        {
            Directory.Delete(Path.Combine(mount, $"..2026_{version - 1}"), recursive: true);
        }
    }

    /// <summary>Sends a hundred requests over one connection and reads no answer.</summary>
    private static TcpClient Stall(IPEndPoint at)
    {
        var client = new TcpClient { ReceiveBufferSize = 4096 };
        client.Connect(at);
        client.GetStream().Write(Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 100))));
        return client;
    }

    private async Task<int> Scrape(HttpClient http, CancellationToken over)
    {
        int answers = 0;
        try
        {
            while (!over.IsCancellationRequested)
            {
                string text = await http.GetStringAsync(new Uri($"http://{_address}/metrics"), over);
                Assert.EndsWith("\n", text, StringComparison.Ordinal);
                answers++;
                // The rate of a hundred thousand nodes' scrapers, not the maximum of two cores.
                await Task.Delay(TimeSpan.FromMilliseconds(200), over);
            }
        }
        catch (OperationCanceledException)
        {
            // The time is up.
        }
        return answers;
    }
}
