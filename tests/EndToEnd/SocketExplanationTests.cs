using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>Commands beside a running agent with policies from the cluster's API: <c>sockets</c>, <c>audit</c> and <c>explain</c> ask it
/// through its unix socket, and do not depend on its answer.</summary>
public sealed class SocketExplanationTests : IDisposable
{
    private static readonly KeepaliveValues s_untouched = new(false, 7200, 75, 9);
    private static readonly KeepaliveValues s_guide = new(true, 700, 10, 20);

    private readonly Lab _lab;
    private readonly FakeApiServer _api = FakeApiServer.Start().WithGloo();
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-explain");
    private readonly int _port;
    private ProgramRun? _run;

    public SocketExplanationTests()
    {
        Live.Require();
        _lab = new Lab();
        _port = _lab.Server.Listen();
    }

    private string State => Path.Combine(_directory.FullName, "run");

    private string Far => $"{Lab.ServerAddress}:{_port}";

    [Fact]
    public void Socket_SetByAPolicyOfTheApi_IsExplainedByTheAgentAndTheStateFile()
    {
        int id = Managed();
        var one = Json(Run("explain", "--socket", _lab.Client.Cookie(id).ToString(CultureInfo.InvariantCulture), "-o", "json"));
        Assert.Equal(("agent", "managed"), (one.GetProperty("source").GetString(), one.GetProperty("outcome").GetString()));
        Assert.Equal("bookinfo/tcp-keepalive", one.GetProperty("rule").GetProperty("policy").GetString());
        Assert.Equal("bookinfo/ratings", one.GetProperty("rule").GetProperty("destination").GetString());
        Assert.Equal((700, true), (one.GetProperty("actual").GetProperty("time").GetInt32(), one.GetProperty("actual").GetProperty("keepalive").GetBoolean()));
        Assert.Equal((7200, false), (one.GetProperty("before").GetProperty("time").GetInt32(), one.GetProperty("before").GetProperty("keepalive").GetBoolean()));
        Assert.Equal("set by the agent, before 7200s", one.GetProperty("why").GetProperty("time").GetString());
        Assert.Equal("idle", one.GetProperty("connection").GetProperty("liveness").GetString());

        var text = Run("explain", "--socket", _lab.Client.LocalEndPoint(id).ToString());
        Assert.Equal(0, text.ExitCode);
        Assert.Contains($"{_lab.Client.LocalEndPoint(id)} → {Far}\n", text.Output, StringComparison.Ordinal);
        Assert.Contains("in force in the running agent", text.Output, StringComparison.Ordinal);
        Assert.Contains("the policy's values are in force", text.Output, StringComparison.Ordinal);
        Assert.Contains("interval      10s: set by the agent, before 75s\n", text.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Socket_ThatIsNotSet_SaysWhy()
    {
        Managed();
        int kept = _lab.Client.Connect(Lab.ServerAddress, _port);
        int other = _lab.Client.Connect(Lab.ServerAddress6, _port);
        // Before the agent's first look at it, or its values are the application's from then on: both are kept.
        _lab.Client.EnableKeepalive(kept, idle: 30);
        Eventually.True(() => Explain(kept).GetProperty("outcome").GetString() is "kept" or "application", TimeSpan.FromSeconds(10));
        Assert.Matches("existing is tighten: the policy's time of 700s is not shorter than 30s|the application changed the values", Explain(kept).GetProperty("result").GetString()!);
        Assert.Equal("no policy selects it; it is not changed", Explain(other).GetProperty("result").GetString());
        Assert.Equal("the socket's own; no agent has set it", Explain(other).GetProperty("why").GetProperty("time").GetString());

        var none = Run("explain", "--socket", "192.0.2.77:1");
        Assert.Equal((1, ""), (none.ExitCode, none.Output));
        Assert.Contains("no TCP socket here has the end 192.0.2.77:1", none.Error, StringComparison.Ordinal);

        JsonElement Explain(int id) => Json(Run("explain", "--socket", _lab.Client.Cookie(id).ToString(CultureInfo.InvariantCulture), "-o", "json"));
    }

    /// <summary>An end that a server listens on is that of its connections, too.</summary>
    [Fact]
    public void Socket_EndThatListens_IsNoReasonNotToAskForItsConnections()
    {
        Managed();
        int port = _lab.Client.Listen(Lab.ClientAddress6);
        _lab.Server.Connect(Lab.ClientAddress6, port);
        Eventually.True(() => _lab.Client.Count().Accepted == 1, TimeSpan.FromSeconds(5));
        var all = Run("explain", "--socket", $"[{Lab.ClientAddress6}]:{port}", "-o", "json").Lines.Select(Parse).ToDictionary(one => one.GetProperty("state").GetString()!);
        Assert.Equal(["ESTABLISHED", "LISTEN"], all.Keys.Order());
        Assert.StartsWith("it listens and has no connection", all["LISTEN"].GetProperty("result").GetString(), StringComparison.Ordinal);
        Assert.Equal("agent", all["ESTABLISHED"].GetProperty("source").GetString());
        Assert.EndsWith($"accepted the connection, on port {port}: without --side both, policies select by the remote end",
            all["ESTABLISHED"].GetProperty("result").GetString(), StringComparison.Ordinal);
        Assert.True(all["ESTABLISHED"].GetProperty("leavesNamespace").GetBoolean());
    }

    [Fact]
    public void To_WithoutFiles_IsAnsweredByTheAgent()
    {
        Managed();
        var text = Run("explain", "--to", Far);
        Assert.Equal(0, text.ExitCode);
        Assert.StartsWith($"{Far}: policy bookinfo/tcp-keepalive (ConnectionPolicy bookinfo/tcp-keepalive)\n", text.Output, StringComparison.Ordinal);
        Assert.Contains("policies in force in the running agent: 1", text.Error, StringComparison.Ordinal);
        var json = Json(Run("explain", "--to", "192.0.2.9:443", "-o", "json"));
        Assert.Equal((JsonValueKind.Null, 1), (json.GetProperty("rule").ValueKind, json.GetProperty("policies").GetInt32()));

        // Files are used alone.
        string file = Path.Combine(_directory.FullName, "none.yaml");
        File.WriteAllText(file, PolicyText.For("192.0.2.1", PolicyText.GuideValues));
        Assert.Contains("no rule", Run("explain", file, "--to", Far).Output, StringComparison.Ordinal);
    }

    [Fact]
    public void SocketsAndAudit_BesideTheAgent_ShowPoliciesOfTheApi()
    {
        Managed();
        var sockets = Run("sockets", "-o", "json");
        var one = sockets.Lines.Select(Parse).Single(line => line.GetProperty("remote").GetString() == Far);
        Assert.Equal(
            ("bookinfo/tcp-keepalive", "managed", "agent"),
            (one.GetProperty("policy").GetString(), one.GetProperty("outcome").GetString(), one.GetProperty("policyFrom").GetString()));
        Assert.Contains("note: policies are those of the running agent", sockets.Error, StringComparison.Ordinal);
        var audit = Run("audit", "--idle", "0s");
        Assert.Matches($@"{Far} +700s/10s/20 +probed too late +bookinfo/tcp-keepalive", audit.Output);
        Assert.Equal("agent", Parse(Run("audit", "-o", "json").Lines.Last()).GetProperty("policyFrom").GetString());
    }

    [Fact]
    public void Commands_BesideAHungAgent_ShowTheirOwnSurveyAndSaySo()
    {
        int id = Managed();
        Assert.Equal(0, Command.Try(["kill", "-STOP", _run!.Pid.ToString(CultureInfo.InvariantCulture)]).ExitCode);
        try
        {
            foreach (string[] words in (string[][])[["sockets"], ["audit"], ["explain", "--socket", _lab.Client.LocalEndPoint(id).ToString()]])
            {
                var took = Stopwatch.StartNew();
                var result = Run(words);
                Assert.Equal(0, result.ExitCode);
                Assert.InRange(took.Elapsed, TimeSpan.FromSeconds(1.9), TimeSpan.FromSeconds(8));
                Assert.Contains(Far, result.Output, StringComparison.Ordinal);
                Assert.Contains("the running agent did not answer within 2 s", result.Output + result.Error, StringComparison.Ordinal);
            }
            Assert.Contains("(set by an agent)", Run("sockets").Output, StringComparison.Ordinal);
            var to = Run("explain", "--to", Far);
            Assert.Equal((4, ""), (to.ExitCode, to.Output));
        }
        finally
        {
            Command.Try(["kill", "-CONT", _run.Pid.ToString(CultureInfo.InvariantCulture)]);
        }
    }

    [Theory]
    [InlineData("HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n\r\nnot found\n", "the running agent is of an earlier version")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{\"a\":", "the running agent's answer is not as expected: it is of another version, or no agent")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"rule\": [7]}", "the running agent's answer is not as expected: it is of another version, or no agent")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "the running agent's answer ended early")]
    [InlineData("HTTP/1.1 302 Found\r\nLocation: http://localhost/v1/explain\r\nContent-Length: 0\r\n\r\n", "the running agent answered 302")]
    [InlineData("\u001b]0;x\u0007\r\n\r\n", "is no agent: its answer is not HTTP")]
    public void Commands_BesideAnotherProgram_GoOnWithoutIt(string answer, string problem)
    {
        Directory.CreateDirectory(State);
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(Path.Combine(State, "agent.sock")));
        listener.Listen();
        var serving = Task.Run(async () =>
        {
            for (; ; )
            {
                using var client = await listener.AcceptAsync();
                await client.ReceiveAsync(new byte[4096]);
                await client.SendAsync(Encoding.UTF8.GetBytes(answer));
            }
        });
        int id = _lab.Client.Connect(Lab.ServerAddress, _port);
        var to = Run("explain", "--to", Far);
        Assert.Equal(4, to.ExitCode);
        Assert.Contains(problem, to.Error, StringComparison.Ordinal);
        Assert.DoesNotContain('\u001b', to.Error);
        var socket = Run("explain", "--socket", _lab.Client.LocalEndPoint(id).ToString());
        Assert.Equal(0, socket.ExitCode);
        Assert.Contains(problem, socket.Output, StringComparison.Ordinal);
        listener.Dispose();
        Assert.ThrowsAny<Exception>(() => serving.GetAwaiter().GetResult());
    }

    /// <summary>A file that a killed agent left, and none at all.</summary>
    [Fact]
    public void To_WithoutAnAgent_SaysThatNoneRuns()
    {
        Assert.Contains("no agent is running here", Run("explain", "--to", Far).Error, StringComparison.Ordinal);
        Managed();
        _run!.Kill();
        _run.WaitForExit();
        var to = Run("explain", "--to", Far);
        Assert.Equal(4, to.ExitCode);
        Assert.Contains("no agent is running (nothing listens on", to.Error, StringComparison.Ordinal);
        Assert.Contains("give policy files", to.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Explanations_AreServedOnTheUnixSocketOnly()
    {
        string local = AgentHttp.FreeAddress();
        Managed("--listen-local", local);
        using var loopback = new AgentHttp(local);
        using var unix = AgentHttp.OverUnixSocket(Path.Combine(State, "agent.sock"));
        Assert.Equal(HttpStatusCode.OK, unix.Get($"/v1/explain?to={Far}").Status);
        Assert.Equal(HttpStatusCode.OK, loopback.Get("/sockets").Status);
        Assert.Equal(HttpStatusCode.NotFound, loopback.Get($"/v1/explain?to={Far}").Status);
        foreach (string query in new[] { "", "?to=x", $"?to={Far}&from=y", $"?to={Far}&netns=-1", $"?to={Far}&pid=99999999999" })
        {
            Assert.Equal(HttpStatusCode.BadRequest, unix.Get("/v1/explain" + query).Status);
        }
    }

    public void Dispose()
    {
        _run?.Dispose();
        _lab.Dispose();
        _api.Dispose();
        _directory.Delete(recursive: true);
    }

    /// <summary>Starts the agent with a policy of the API; returns a socket that it has set.</summary>
    private int Managed(params string[] more)
    {
        _api.Apply(ClusterText.ExternalService(Lab.ServerAddress));
        _api.Apply(ClusterText.Policy("""{"time":"700s","interval":"10s","probes":20}"""));
        int id = _lab.Client.Connect(Lab.ServerAddress, _port);
        Assert.Equal(s_untouched, _lab.Client.Get(id));
        _run = ProgramRun.Agent(
            ["run", "--kubernetes-api", _api.Address.ToString(), "--netns", _lab.Client.NetnsPath, "--state-dir", State, "--interval", "1s", "--listen", "none",
                "--datapath", "pidfd", .. more]);
        Eventually.True(() => _lab.Client.Get(id) == s_guide, TimeSpan.FromSeconds(20));
        // The page shows a socket from the end of its first pass.
        Eventually.True(() => Run("sockets").Output.Contains(" bookinfo/tcp-keepalive ", StringComparison.Ordinal), TimeSpan.FromSeconds(10));
        return id;
    }

    private CommandResult Run(params string[] words) => ProgramRun.ToEnd(
        [ProgramRun.AgentPath, .. words, .. words[0] == "explain" && words.Contains("--to") ? (string[])[] : ["--netns", _lab.Client.NetnsPath], "--state-dir", State]);

    private static JsonElement Json(CommandResult result)
    {
        Assert.Equal(0, result.ExitCode);
        return Parse(Assert.Single(result.Lines));
    }

    private static JsonElement Parse(string line) => JsonDocument.Parse(line).RootElement;
}
