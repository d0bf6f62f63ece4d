using System.Text.Json;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary><c>--keepalive</c>: a policy for all connections that leave the node, without a file, and <c>audit</c>, which prints it.</summary>
public sealed class KeepaliveOptionTests : IDisposable
{
    private readonly Lab _lab;
    private readonly AgentProcess _agent;
    private readonly int _port;
    private readonly int _id;

    public KeepaliveOptionTests()
    {
        Live.Require();
        _lab = new Lab();
        _port = _lab.Server.Listen();
        _id = _lab.Client.Connect(Lab.ServerAddress, _port);
        _agent = new AgentProcess(_lab.Client);
    }

    [Fact]
    public void Run_WithoutAPolicyFile_IsReportedUnderItsOwnPolicy()
    {
        var planned = Agent("run", "--keepalive", "240s/20s/4", "--once", "--dry-run");
        Assert.Equal(0, planned.ExitCode);
        Assert.Contains("would set ", planned.Output, StringComparison.Ordinal);
        Assert.Contains("keepalive off → on, time 7200s → 240s, interval 75s → 20s, probes 9 → 4; policy command-line/keepalive, destination command-line/other-hosts", planned.Output, StringComparison.Ordinal);
        Assert.False(_lab.Client.Get(_id).On);
        Assert.Equal(0, Agent("run", "--keepalive", "240s/20s/4", "--once").ExitCode);
        Assert.Equal(new KeepaliveValues(true, 240, 20, 4), _lab.Client.Get(_id));
        Assert.Contains("240s/20s/4  ", Agent("sockets", "--keepalive", "240s/20s/4").Output, StringComparison.Ordinal);
        Assert.Contains("command-line/keepalive", Agent("sockets", "--keepalive", "240s/20s/4").Output, StringComparison.Ordinal);
        Assert.Contains(" command-line/keepalive command-line/other-hosts", File.ReadAllText(Path.Combine(_agent.StateDirectory, "state")), StringComparison.Ordinal);
        Assert.Equal(0, Agent("run", "--keepalive", "240s/20s/4", "--once", "--restore-on-exit").ExitCode);
        Assert.Equal(new KeepaliveValues(false, 7200, 75, 9), _lab.Client.Get(_id));
    }

    /// <summary>The printed line is run as it stands, but for this test's namespace.</summary>
    [Theory]
    [InlineData("--idle-timeout", "350s", "240s/20s/4")]
    [InlineData("--balancer", "azure-lb", "150s/20s/4")]
    [InlineData("--idle-timeout", "60s", "30s/10s/4")]
    [InlineData("--idle-timeout", "12s", null)]
    public void Audit_ConnectionAtRisk_EndsWithTheCommandThatProtectsIt(string option, string value, string? expected)
    {
        var audit = Agent("audit", "--idle", "0s", option, value);
        string last = audit.Lines.Last();
        Assert.StartsWith("To protect it: keepalive-agent run --keepalive ", last, StringComparison.Ordinal);
        string[] command = last["To protect it: keepalive-agent ".Length..].Split(' ');
        Assert.Equal(expected ?? command[^1], command[^1]);
        var json = JsonDocument.Parse(Agent("audit", "--idle", "0s", option, value, "-o", "json").Lines.Last()).RootElement;
        Assert.Equal($"keepalive-agent {string.Join(' ', command)}", json.GetProperty("protect").GetString());
        Assert.Equal(1, Agent("audit", "--idle", "0s", "--fail", option, value).ExitCode);
        Assert.Contains("would set 1", Agent("audit", "--idle", "0s", option, value, "--keepalive", command[^1]).Output, StringComparison.Ordinal);
        Assert.Equal(0, Agent([.. command, "--once"]).ExitCode);
        var after = Agent("audit", "--idle", "0s", "--fail", option, value);
        Assert.Equal(0, after.ExitCode);
        Assert.DoesNotContain("To protect", after.Output, StringComparison.Ordinal);
    }

    /// <summary>An application's values are replaced only by a shorter time, so the command says that they are to be replaced.</summary>
    [Fact]
    public void Audit_IntervalOfAnApplicationIsTooLong_TheCommandReplacesItsValues()
    {
        _lab.Client.EnableKeepalive(_id, idle: 100, interval: 400, count: 3);
        string last = Agent("audit", "--idle", "0s", "--idle-timeout", "350s").Lines.Last();
        Assert.Equal("To protect it: keepalive-agent run --keepalive 240s/20s/4 --existing replace", last);
        Assert.Equal(0, Agent([.. last["To protect it: keepalive-agent ".Length..].Split(' '), "--once"]).ExitCode);
        Assert.Equal(0, Agent("audit", "--idle", "0s", "--fail", "--idle-timeout", "350s").ExitCode);
    }

    [Fact]
    public void Audit_OnlyPayloadCounts_PrintsNoCommand()
    {
        string output = Agent("audit", "--idle", "0s", "--balancer", "aws-alb").Output;
        Assert.Contains("TCP keepalive cannot help", output, StringComparison.Ordinal);
        Assert.DoesNotContain("To protect", output, StringComparison.Ordinal);
    }

    /// <summary>Regression: the output ended without a word on how to protect the connection.</summary>
    [Fact]
    public void Audit_IdleTimeoutTooShortForKeepalive_PrintsWhyThereIsNoCommand()
    {
        string output = Agent("audit", "--idle", "0s", "--idle-timeout", "2s").Output;
        Assert.Contains("TCP keepalive cannot protect it: its values are whole seconds, and no three probes are sent within 2s. Instead, let the application send",
            output, StringComparison.Ordinal);
        Assert.DoesNotContain("To protect", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Amazon EC2", "c8i.large", "", 350, "aws-security-group", "this is an Amazon EC2 machine, c8i.large: it is on Nitro v6, whose security groups forget an idle connection after 350s")]
    [InlineData("Amazon EC2", "m5.large", "", 350, "aws-nat-gateway", "this is an Amazon EC2 machine, m5.large: its security groups keep an idle connection for 432000s")]
    [InlineData("Google", "Google Compute Engine", "", 600, "gcp-vpc-firewall", "this is a Google Cloud machine: ")]
    [InlineData("Microsoft Corporation", "Virtual Machine", "7783-7084-3265-9085-8269-3286-77", 240, "azure-lb", "this is an Azure machine: ")]
    [InlineData("Hetzner", "vServer", "", 350, null, "this is a Hetzner machine, and no source states")]
    [InlineData("QEMU", "Standard PC", "", 350, null, "the firmware names no known cloud; 350s is the idle timeout of AWS's load balancers and NAT gateways")]
    public void Commands_OnAMachineOfACloud_CompareWithItsDevice(string vendor, string product, string tag, int idleTimeout, string? balancer, string why)
    {
        var audit = On(vendor, product, tag, "audit", "--idle", "0s", "--netns", _lab.Client.NetnsPath, "--state-dir", _agent.StateDirectory);
        Assert.Contains($"1 at risk of being forgotten by {balancer ?? "a device on the path"} after {idleTimeout}s\n", audit.Output, StringComparison.Ordinal);
        Assert.Contains($"Compared with {idleTimeout}s because {why}", audit.Output, StringComparison.Ordinal);
        string[] json = ["audit", "--idle", "0s", "--netns", _lab.Client.NetnsPath, "--state-dir", _agent.StateDirectory, "-o", "json"];
        var summary = JsonDocument.Parse(On(vendor, product, tag, json).Lines.Last()).RootElement;
        Assert.Equal((idleTimeout, balancer), (summary.GetProperty("idleTimeout").GetInt32(), summary.GetProperty("balancer").GetString()));
        Assert.StartsWith(why, summary.GetProperty("why").GetString(), StringComparison.Ordinal);
        // What is given counts.
        Assert.DoesNotContain("Compared with", On(vendor, product, tag, [.. json[..^2], "--idle-timeout", "20m"]).Output, StringComparison.Ordinal);

        Assert.Contains($"audit compares with {idleTimeout}s", On(vendor, product, tag, "support").Output, StringComparison.Ordinal);
        _agent.WritePolicy(PolicyText.For(Lab.ServerAddress, "time: 345s, interval: 10s, probes: 6"));
        var check = On(vendor, product, tag, "check", _agent.PolicyPath);
        Assert.Equal(0, check.ExitCode);
        Assert.Equal(balancer is not null, check.Output.Contains($"Compared with {balancer} because {why}", StringComparison.Ordinal));
        Assert.Equal(balancer is not null, check.Output.Contains($"  through {balancer}, idle timeout {idleTimeout}s: ", StringComparison.Ordinal));
        Assert.DoesNotContain("Compared with", On(vendor, product, tag, "check", _agent.PolicyPath, "--balancer", "aws-nlb", "--idle-timeout", "400s").Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Explain_Keepalive_IsTheLastRule()
    {
        _agent.WritePolicy(PolicyText.For(Lab.ServerAddress, PolicyText.GuideValues));
        var other = Explain("198.51.100.7:443", _agent.PolicyPath);
        Assert.Contains("198.51.100.7:443: policy command-line/keepalive (--keepalive 240s/20s/4)", other.Output, StringComparison.Ordinal);
        Assert.Contains("time 240s", other.Output, StringComparison.Ordinal);
        var special = Explain($"{Lab.ServerAddress}:443", _agent.PolicyPath);
        Assert.Contains($"{Lab.ServerAddress}:443: policy bookinfo/tcp-keepalive", special.Output, StringComparison.Ordinal);
        Assert.Contains("command-line/keepalive for 0.0.0.0/0", special.Output, StringComparison.Ordinal);
        Assert.Contains("it is for connections that no other rule selects", special.Output, StringComparison.Ordinal);
        Assert.Contains("no rule", Explain("127.0.0.1:443").Output, StringComparison.Ordinal);
        Assert.Contains("the connection does not leave the host", Explain("127.0.0.1:443").Output, StringComparison.Ordinal);
        var alone = ProgramRun.ToEnd([ProgramRun.AgentPath, "explain", "--to", "127.0.0.1:443", "--state-dir", "/nonexistent"]);
        Assert.Equal(4, alone.ExitCode);
        Assert.Contains("give policy files, --keepalive, or both", alone.Error, StringComparison.Ordinal);

        static CommandResult Explain(string to, params string[] paths) =>
            ProgramRun.ToEnd([ProgramRun.AgentPath, "explain", .. paths, "--keepalive", "240s/20s/4", "--to", to]);
    }

    [Theory]
    [InlineData("240s/20s", "--keepalive takes TIME/INTERVAL/PROBES like 240s/20s/4, not '240s/20s'")]
    [InlineData("240s/20s/200", "--keepalive takes 1 to 127 probes, not '200'")]
    public void Run_InvalidValues_AreRefused(string values, string message)
    {
        var result = Agent("run", "--keepalive", values, "--once");
        Assert.Equal(2, result.ExitCode);
        Assert.Contains(message, result.Error, StringComparison.Ordinal);
    }

    public void Dispose()
    {
        _agent.Dispose();
        _lab.Dispose();
    }

    private CommandResult Agent(params string[] arguments) =>
        ProgramRun.ToEnd([ProgramRun.AgentPath, .. arguments, "--netns", _lab.Client.NetnsPath, "--state-dir", _agent.StateDirectory]);

    /// <summary>Runs the agent where the firmware states these facts.</summary>
    private CommandResult On(string vendor, string product, string tag, params string[] arguments)
    {
        var firmware = Directory.CreateDirectory(Path.Combine(Path.GetDirectoryName(_agent.PolicyPath)!, "firmware")).FullName;
        File.WriteAllText(Path.Combine(firmware, "sys_vendor"), vendor + "\n");
        File.WriteAllText(Path.Combine(firmware, "product_name"), product + "\n");
        File.WriteAllText(Path.Combine(firmware, "chassis_asset_tag"), tag + "\n");
        return ProgramRun.ToEnd(["env", $"KEEPALIVE_DMI={firmware}", ProgramRun.AgentPath, .. arguments]);
    }
}
