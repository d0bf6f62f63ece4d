using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>The addresses that <c>run</c> listens on, and its answers to IPv4 and IPv6 clients, tested with curl and nc.</summary>
public sealed class ListenTests : IDisposable
{
    private const string Healthz = "GET /healthz HTTP/1.0\\r\\n\\r\\n";

    private readonly Lab _lab;
    private readonly AgentProcess _agent;

    public ListenTests()
    {
        Live.Require("curl", "nc.openbsd", "ss");
        _lab = new Lab();
        _agent = new AgentProcess(_lab.Client);
        _agent.WritePolicy(PolicyText.For(Lab.ServerAddress, PolicyText.GuideValues));
    }

    [Theory]
    [InlineData("true")]
    [InlineData("echo 1 > /proc/sys/net/ipv6/bindv6only")]
    public void Listen_Default_AnswersOnBothFamilies(string before)
    {
        _lab.Client.Shell(before);
        var run = Start();

        run.WaitForLine(line => line.Contains("metrics on [::]:9464 (IPv6 and IPv4)", StringComparison.Ordinal));
        Assert.Equal("*:9464", Listener(9464));
        foreach (var (from, address) in new[] { (_lab.Client, "127.0.0.1"), (_lab.Client, "[::1]"), (_lab.Server, Lab.ClientAddress), (_lab.Server, $"[{Lab.ClientAddress6}]") })
        {
            Assert.Equal("200", Status(from, $"http://{address}:9464/healthz"));
        }
    }

    [Fact]
    public void Listen_Default_AnswersInAnIPv6OnlyNetwork()
    {
        _lab.Client.Shell($"ip -4 addr flush dev {Lab.ClientInterface} && ip -4 addr flush dev lo");
        Start();

        // As the kubelet does: from outside the pod, to the pod's address.
        foreach (string path in new[] { "healthz", "readyz" })
        {
            Assert.Equal("200", Status(_lab.Server, $"http://[{Lab.ClientAddress6}]:9464/{path}"));
        }
    }

    [Theory]
    [InlineData("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6", "0")]
    [InlineData("true", "1")]
    public void Listen_DefaultWithoutIPv6_AnswersOnIPv4(string before, string noSuchSockets)
    {
        _lab.Client.Shell(before);
        var run = Start(environment: new Dictionary<string, string?> { ["DOTNET_SYSTEM_NET_DISABLEIPV6"] = noSuchSockets });

        run.WaitForLine(line => line.Contains("metrics on 0.0.0.0:9464", StringComparison.Ordinal));
        Assert.Equal("0.0.0.0:9464", Listener(9464));
        Assert.Equal("200", Status(_lab.Client, "http://127.0.0.1:9464/healthz"));
    }

    [Fact]
    public void Listen_IPv6OffAndOnAgainOnOneInterface_AnswersOnBothFamilies()
    {
        _lab.Client.Shell($"echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; echo 0 > /proc/sys/net/ipv6/conf/{Lab.ClientInterface}/disable_ipv6; ip addr add {Lab.ClientAddress6}/64 dev {Lab.ClientInterface} nodad");
        Start();

        Assert.Equal("200", Status(_lab.Server, $"http://[{Lab.ClientAddress6}]:9464/healthz"));
        Assert.Equal("200", Status(_lab.Client, "http://127.0.0.1:9464/healthz"));
    }

    [Theory]
    [InlineData(":9500", "*:9500", "200", "200")]
    [InlineData("[::]:9500", "*:9500", "200", "200")]
    [InlineData("0.0.0.0:9500", "0.0.0.0:9500", "200", "000")]
    [InlineData("127.0.0.1:9500", "127.0.0.1:9500", "200", "000")]
    [InlineData("[::1]:9500", "[::1]:9500", "000", "200")]
    public void Listen_Given_IsThatAddress(string given, string bound, string statusOfIPv4, string statusOfIPv6)
    {
        Start("--listen", given);

        Assert.Equal(bound, Listener(9500));
        Assert.Equal((statusOfIPv4, statusOfIPv6), (Status(_lab.Client, "http://127.0.0.1:9500/healthz"), Status(_lab.Client, "http://[::1]:9500/healthz")));
    }

    [Theory]
    [InlineData("--listen", "9464", ":PORT for every address")]
    [InlineData("--listen", "::1:9464", "--listen takes ADDR:PORT like 127.0.0.1:9464 or [::1]:9464")]
    [InlineData("--listen-local", ":9465", "--listen-local takes a loopback address")]
    [InlineData("--listen-local", "[::]:9465", "--listen-local takes a loopback address")]
    [InlineData("--agent-check", "9777", ":PORT for every address")]
    public void Listen_NoAddress_IsRefused(string option, string given, string expected)
    {
        var run = _agent.LaunchBy([], [option, given]);

        Assert.Equal(2, run.WaitForExit());
        Assert.Contains(expected, run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Nc_HalfCloses_IsAnsweredOnEveryListener()
    {
        Start("--listen-local", "[::1]:9465", "--agent-check", ":9777");

        foreach (string where in new[] { "127.0.0.1 9464", "::1 9464", "::1 9465", $"-U {_agent.StateDirectory}/agent.sock" })
        {
            Assert.StartsWith("HTTP/1.1 200 OK", Nc(Healthz, where), StringComparison.Ordinal);
        }
        foreach (string where in new[] { "127.0.0.1 9777", "::1 9777" })
        {
            Assert.Equal("up\n", Nc("10.0.0.1:443", where));
        }
    }

    public void Dispose()
    {
        _agent.Dispose();
        _lab.Dispose();
    }

    private ProgramRun Start(params string[] more) => Start(null, more);

    private ProgramRun Start(IReadOnlyDictionary<string, string?>? environment, params string[] more)
    {
        var run = _agent.LaunchBy([], ["--capture", "off", .. more], inside: _lab.Client, environment: environment);
        AgentProcess.WaitForEvent(run, AgentEvents.Ready);
        return run;
    }

    /// <summary>The local address of the socket that listens on a port, as ss shows it.</summary>
    private string Listener(int port) => Assert.Single(_lab.Client.Run("ss", "-Hltn", "sport", "=", $":{port}").Lines).Split(' ', StringSplitOptions.RemoveEmptyEntries)[3];

    /// <summary>The status of an answer; 000 if nothing answers.</summary>
    private static string Status(Holder from, string url) =>
        Command.Try(from.Inside(["curl", "-sS", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", url])).Output;

    private string Nc(string request, string where) => _lab.Client.Shell($"printf '{request}' | timeout 20 nc.openbsd -N {where}").Output;
}
