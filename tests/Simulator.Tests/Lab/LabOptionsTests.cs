using Keepalive.Config.Balancers;
using Keepalive.Simulator.Commands;
using Keepalive.Simulator.Lab;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Lab;

/// <summary>The command line of <c>keepalive-sim lab</c>; no lab is started.</summary>
public sealed class LabOptionsTests : IDisposable
{
    private static readonly string[] s_commands = ["--server", "true", "--client", "true"];

    private readonly string _directory = Directory.CreateTempSubdirectory("keepalive-lab-test-").FullName;

    public static TheoryData<string> Presets { get; } = [.. BalancerPresets.Names];

    public static TheoryData<string> Classes { get; } = [.. IdleBehaviour.Classes.Select(entry => entry.Name)];

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData("demo-inside", "/nowhere/keepalive-agent", "")]
    [InlineData("lab-inside", "--expiry=silent-drop", "--idle-timeout=1s", "--server=true", "--client=true")]
    public void InnerCommand_CalledDirectly_IsRefusedAndRemovesNothing(params string[] command)
    {
        var precious = Path.Combine(_directory, "keepalive-precious");
        Directory.CreateDirectory(precious);
        File.WriteAllText(Path.Combine(precious, "file"), "");

        // Its standard input is at its end: that shows the inner process that the outer one is gone.
        var result = ProgramRun.ToEnd([ProgramRun.SimulatorPath, .. command, precious]);

        Assert.Equal((2, ""), (result.ExitCode, result.Output));
        Assert.Contains("'keepalive-sim lab'", result.Error, StringComparison.Ordinal);
        Assert.True(File.Exists(Path.Combine(precious, "file")));
    }

    [Theory]
    [MemberData(nameof(Presets))]
    public void Balancer_EveryPreset_IsAcceptedWithAnyTimeout(string name)
    {
        Assert.Empty(Errors("--balancer", name, "--idle-timeout", "5s"));
        Assert.Empty(Errors("--balancer", $"{name}=5s"));
        if (BalancerPresets.Find(name)!.IdleTimeout is not null)
        {
            Assert.Empty(Errors("--balancer", name));
        }
        else
        {
            Assert.Equal([$"{name} {BalancerPresets.Find(name)!.WhyNoTimeout}: write --balancer {name}=TIMEOUT"], Errors("--balancer", name));
        }
    }

    [Theory]
    [MemberData(nameof(Classes))]
    public void Expiry_EveryClass_IsAcceptedWithEveryRefresh(string name)
    {
        Assert.Empty(Errors("--expiry", name, "--idle-timeout", "5s"));
        Assert.All(IdleBehaviour.RefreshWords, word => Assert.Empty(Errors("--expiry", name, "--idle-timeout", "5s", "--refresh", word)));
    }

    [Theory]
    [InlineData("aws-nlb", null, null, null, 350, ExpiryClass.ResetOnNextPacket, Refresh.AnyPacket)]
    [InlineData("aws-nlb", "fin-both", null, "1m30s", 90, ExpiryClass.FinBoth, Refresh.AnyPacket)]
    [InlineData("aws-nlb", null, "payload", "100ms", 0.1, ExpiryClass.ResetOnNextPacket, Refresh.PayloadOnly)]
    [InlineData("aws-clb", "silent-drop", null, null, 60, ExpiryClass.SilentDrop, Refresh.PayloadOnly)]
    [InlineData("aws-nlb", "payload-only", null, null, 350, ExpiryClass.FinBoth, Refresh.PayloadOnly)]
    [InlineData("aws-nlb", "per-direction", "any", null, 350, ExpiryClass.SilentDrop, Refresh.AnyPacket)]
    [InlineData("aws-clb=90s", null, null, null, 90, ExpiryClass.FinBoth, Refresh.PayloadOnly)]
    [InlineData("docker-swarm", null, null, "2s", 2, ExpiryClass.ResetOnNextPacket, Refresh.AnyPacket)]
    [InlineData(null, "reset-both", null, "2s", 2, ExpiryClass.ResetBoth, Refresh.AnyPacket)]
    public void Options_BesideAPreset_OverrideOnlyTheirField(
        string? balancer, string? expiry, string? refresh, string? timeout, double seconds, ExpiryClass expectedExpiry, Refresh expectedRefresh)
    {
        var options = new BalancerOptions();
        var command = new System.CommandLine.Command("lab");
        options.AddTo(command);
        (string Name, string? Value)[] given = [("--balancer", balancer), ("--expiry", expiry), ("--refresh", refresh), ("--idle-timeout", timeout)];
        var parsed = command.Parse([.. given.Where(option => option.Value is not null).SelectMany(option => new[] { option.Name, option.Value! })]);

        Assert.Empty(parsed.Errors);
        var rule = options.Get(parsed).Rule;
        Assert.Equal((TimeSpan.FromSeconds(seconds), new IdleBehaviour(expectedExpiry, expectedRefresh)), (rule.IdleTimeout, rule.Behaviour));
    }

    [Theory]
    [InlineData(true, "--balancer", "aws-global-accelerator")]
    [InlineData(true, "--balancer", "aws-global-accelerator=5s", "--expiry", "silent-drop")]
    [InlineData(false, "--balancer", "aws-global-accelerator", "--refresh", "any")]
    [InlineData(false, "--balancer", "docker-desktop")]
    public void Options_PresetThatDropsProbes_DoesUnlessProbesCount(bool drops, params string[] arguments)
    {
        var options = new BalancerOptions();
        var command = new System.CommandLine.Command("lab");
        options.AddTo(command);
        Assert.Equal(drops, options.Get(command.Parse(arguments)).Rule.Behaviour.DropsProbes);
    }

    [Theory]
    [InlineData("say what the balancer does: --balancer NAME, or --expiry CLASS and --idle-timeout DURATION")]
    [InlineData("--balancer: \"nlb\" is not known; did you mean aws-nlb, oci-nlb, aws-nlb-tls or gcp-proxy-nlb? 'keepalive-sim balancers' lists all. For another, measure it ('keepalive-sim discover HOST:PORT') and write --idle-timeout TIMEOUT --expiry CLASS", "--balancer", "nlb")]
    [InlineData("--balancer: \"AWS-NLB\" is not known; did you mean aws-nlb? 'keepalive-sim balancers' lists all. For another, measure it ('keepalive-sim discover HOST:PORT') and write --idle-timeout TIMEOUT --expiry CLASS", "--balancer", "AWS-NLB")]
    [InlineData("--balancer: \"zzz\" is not known; 'keepalive-sim balancers' lists all. For another, measure it ('keepalive-sim discover HOST:PORT') and write --idle-timeout TIMEOUT --expiry CLASS", "--balancer", "zzz")]
    [InlineData("--balancer aws-nlb=TIMEOUT takes a duration like 5s, from 0.1s to 2592000s, not '99ms'", "--balancer", "aws-nlb=99ms")]
    [InlineData("--balancer aws-nlb=60s and --idle-timeout 90s are about the same idle timeout: write one of them", "--balancer", "aws-nlb=60s", "--idle-timeout", "90s")]
    [InlineData("--idle-timeout is needed where no --balancer is named", "--expiry", "silent-drop")]
    [InlineData("--expiry takes silent-drop, reset-on-next-packet, reset-both, fin-both, drop-until-syn, inside-revives, per-direction or payload-only, not 'fin'",
        "--expiry", "fin", "--idle-timeout", "5s")]
    [InlineData("--refresh takes any, payload or per-direction, not 'none'", "--balancer", "aws-nlb", "--refresh", "none")]
    [InlineData("--idle-timeout takes a duration like 5s, from 0.1s to 2592000s, not '5'", "--balancer", "aws-nlb", "--idle-timeout", "5")]
    [InlineData("--idle-timeout takes a duration like 5s, from 0.1s to 2592000s, not '99ms'", "--balancer", "aws-nlb", "--idle-timeout", "99ms")]
    [InlineData("--idle-timeout takes a duration like 5s, from 0.1s to 2592000s, not '-5s'", "--balancer", "aws-nlb", "--idle-timeout=-5s")]
    [InlineData("--idle-timeout takes a duration like 5s, from 0.1s to 2592000s, not '721h'", "--balancer", "aws-nlb", "--idle-timeout", "721h")]
    [InlineData("--idle-timeout takes a duration like 5s, from 0.1s to 2592000s, not ''", "--balancer", "aws-nlb", "--idle-timeout", "")]
    public void Options_Invalid_HaveARemedy(string message, params string[] arguments) => Assert.Equal([message], Errors(arguments));

    [Theory]
    [InlineData("--balancer", "--balancer", "azure-lb")]
    [InlineData("--idle-timeout", "--idle-timeout", "1s", "--idle-timeout", "2s")]
    [InlineData("--client is empty", "--client", "")]
    [InlineData("--server", "--server", "true")]
    public void Command_OptionTwiceOrEmpty_Exits2NamingIt(string message, params string[] more)
    {
        string[] client = more[0] == "--client" ? [] : ["--client", "true"];

        var result = ProgramRun.ToEnd([ProgramRun.SimulatorPath, "lab", "--balancer", "aws-nlb", "--server", "true", .. client, .. more]);

        Assert.Equal((2, ""), (result.ExitCode, result.Output));
        Assert.Contains(message, result.Error, StringComparison.Ordinal);
        Assert.EndsWith("See 'keepalive-sim lab --help'.\n", result.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("TMPDIR=/proc/nowhere", "lab --balancer aws-nlb --server true --client true", 4)]
    [InlineData("ulimit -n 100;", "lab --balancer aws-nlb --server true --client true", 3)]
    [InlineData("exec >/dev/full;", "balancers", 4)]
    [InlineData("exec >&-;", "balancers", 4)]
    public void Program_RequirementMissing_IsReportedInOneLine(string obstacle, string arguments, int exitCode)
    {
        Live.Require();

        var result = ProgramRun.ToEnd(["sh", "-c", $"{obstacle} {ProgramRun.SimulatorPath} {arguments}"]);

        Assert.Equal((exitCode, ""), (result.ExitCode, result.Output));
        Assert.StartsWith("keepalive-sim: ", Assert.Single(result.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Max open files            64                   1048576              files     \n", true)]
    [InlineData("Max open files            256                  1048576              files     \n", false)]
    [InlineData("Max open files            unlimited            unlimited            files     \n", false)]
    [InlineData("", false)]
    public void Limits_OpenFiles_TooFewAreNamed(string limits, bool tooFew) =>
        Assert.Equal(tooFew, Limits.TooFewFiles("Limit                     Soft Limit           Hard Limit           Units     \n" + limits) is not null);

    [Fact]
    public void Command_WithoutServerOrClient_Exits2NamingBoth()
    {
        var result = ProgramRun.ToEnd([ProgramRun.SimulatorPath, "lab", "--balancer", "aws-nlb"]);

        Assert.Equal((2, ""), (result.ExitCode, result.Output));
        Assert.Contains("--server", result.Error, StringComparison.Ordinal);
        Assert.Contains("--client", result.Error, StringComparison.Ordinal);
        Assert.Contains("keepalive-sim lab --help", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Command_UnknownPreset_Exits2()
    {
        var result = ProgramRun.ToEnd([ProgramRun.SimulatorPath, "lab", "--balancer", "nlb", .. s_commands]);

        Assert.Equal((2, ""), (result.ExitCode, result.Output));
        Assert.Contains("did you mean aws-nlb, oci-nlb,", result.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--agent: there is no policy file or directory at /nowhere/policy.yaml", "--agent", "/nowhere/policy.yaml")]
    [InlineData("there is no agent at /nowhere/keepalive-agent", "--agent", "/", "--agent-program", "/nowhere/keepalive-agent")]
    [InlineData("--pcap: there is no directory /nowhere", "--pcap", "/nowhere/frames.pcapng")]
    [InlineData("--pcap: /proc is a directory", "--pcap", "/proc")]
    public void Command_FileMissing_Exits4BeforeTheStart(string message, params string[] arguments)
    {
        var mark = Path.Combine(_directory, "started");
        var result = ProgramRun.ToEnd([ProgramRun.SimulatorPath, "lab", "--balancer", "aws-nlb", "--server", $"touch {mark}", "--client", "true", .. arguments]);

        Assert.Equal((4, ""), (result.ExitCode, result.Output));
        Assert.Contains($"keepalive-sim: {message}", result.Error, StringComparison.Ordinal);
        Assert.False(File.Exists(mark));
    }

    private static List<string> Errors(params string[] arguments) =>
        [.. LabCommand.Create().Parse([.. arguments, .. s_commands]).Errors.Select(error => error.Message)];
}
