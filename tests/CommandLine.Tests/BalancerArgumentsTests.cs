using System.CommandLine;
using Xunit;

namespace Keepalive.CommandLine.Tests;

public sealed class BalancerArgumentsTests
{
    private static readonly TimeSpan s_second = TimeSpan.FromSeconds(1);

    [Theory]
    [InlineData("--balancer aws-nlb", "aws-nlb")]
    [InlineData("--balancer aws-nlb=60s", "aws-nlb=60s")]
    [InlineData("--balancer=aws-nlb=1m30s", "aws-nlb=90s")]
    [InlineData("--balancer aws-nlb --idle-timeout 60s", "aws-nlb=60s")]
    [InlineData("--idle-timeout 20m", "1200s")]
    [InlineData("--balancer aws-nlb --balancer haproxy=3600s", "aws-nlb haproxy=3600s")]
    [InlineData("--balancer docker-swarm", "docker-swarm")]
    [InlineData("", "")]
    public void Get_Timeout_BelongsToOneBalancer(string words, string expected)
    {
        var (arguments, parsed) = Parse(words, several: true);
        Assert.Empty(parsed.Errors);
        var (named, bare) = arguments.Get(parsed.CommandResult);
        Assert.Equal(expected, string.Join(' ',
            named.Select(balancer => balancer.Preset.Name + (balancer.IdleTimeout is { } own ? $"={Words.Duration(own)}" : ""))
                .Append(bare is { } timeout ? Words.Duration(timeout) : "").Where(word => word.Length > 0)));
    }

    /// <summary>Regression: a timeout meant for one balancer was applied to all, which called a network balancer's 350s safe for 3600s.</summary>
    [Theory]
    [InlineData("--balancer aws-nlb --balancer haproxy --idle-timeout 3600s",
        "with 2 balancers --idle-timeout is ambiguous: write the timeout behind the name of its balancer, like --balancer haproxy=3600s")]
    [InlineData("--balancer haproxy=60s --balancer aws-nlb --idle-timeout 3600s",
        "with 2 balancers --idle-timeout is ambiguous: write the timeout behind the name of its balancer, like --balancer aws-nlb=3600s")]
    [InlineData("--balancer aws-nlb=60s --idle-timeout 90s",
        "--balancer aws-nlb=60s and --idle-timeout 90s are about the same idle timeout: write one of them")]
    [InlineData("--balancer aws-nlb=", "--balancer aws-nlb=TIMEOUT takes a duration like 5s, from 1s to 2592000s, not ''")]
    [InlineData("--balancer aws-nlb=350", "--balancer aws-nlb=TIMEOUT takes a duration like 5s, from 1s to 2592000s, not '350'")]
    [InlineData("--balancer aws-nlb=500ms", "--balancer aws-nlb=TIMEOUT takes a duration like 5s, from 1s to 2592000s, not '500ms'")]
    [InlineData("--balancer aws-nbl=60s",
        "--balancer: \"aws-nbl\" is not known; did you mean aws-nlb? 'keepalive-sim balancers' lists all. For another, measure it ('keepalive-sim discover HOST:PORT') and write X")]
    [InlineData("--balancer aws-ec2",
        "--balancer: aws-ec2 depends on the instance type: machines of the sixth Nitro generation (c8i, m8i, r8i and others) drop idle connections after 350s, "
        + "all others after 432000s; write aws-security-group, or aws-security-group=432000s")]
    public void Parse_Mistake_IsOneErrorThatSaysWhatToWrite(string words, string expected) =>
        Assert.Equal([expected], Parse(words, several: true).Parsed.Errors.Select(error => error.Message));

    [Theory]
    [InlineData("# Measured at 203.0.113.10:7000\nname: office\nidleTimeout: 2993ms   # at most 3004ms\nexpiry: fin-both\nrefresh: payload\n", "office 2.993 FinBoth PayloadOnly")]
    [InlineData("idleTimeout: 5m\nexpiry: silent-drop\n", "balancer 300 SilentDrop AnyPacket")]
    [InlineData("idleTimeout: 5m\nexpiry: per-direction\n", "balancer 300 SilentDrop PerDirection")]
    public void Parse_File_IsTheBalancerInIt(string yaml, string expected)
    {
        using var file = new BalancerYaml(yaml);
        var (arguments, parsed) = Parse($"--balancer {file.Path}", several: true);
        Assert.Empty(parsed.Errors);
        var (preset, timeout) = Assert.Single(arguments.Get(parsed.CommandResult).Named);
        Assert.Equal(expected, FormattableString.Invariant($"{preset.Name} {timeout!.Value.TotalSeconds} {preset.Expiry} {preset.Refresh}"));
    }

    /// <summary>Regression: the file's own idle timeout was called one that had been written behind a name.</summary>
    [Fact]
    public void Parse_FileAndIdleTimeout_ReplacesTheFilesOwn()
    {
        using var file = new BalancerYaml("idleTimeout: 5m\nexpiry: fin-both\n");
        var (arguments, parsed) = Parse($"--balancer {file.Path} --idle-timeout 3s", several: false);
        Assert.Empty(parsed.Errors);
        Assert.Equal(TimeSpan.FromSeconds(3), Assert.Single(arguments.Get(parsed.CommandResult).Named).IdleTimeout);
    }

    [Theory]
    [InlineData("aws-nlb", "write the timeout behind the name of its balancer, like --balancer aws-nlb=3s")]
    [InlineData("FILE", "write the timeout in the file of its balancer")]
    public void Parse_FileAndAnotherAndIdleTimeout_IsAnErrorThatSaysWhere(string other, string expected)
    {
        using var file = new BalancerYaml("idleTimeout: 5m\nexpiry: fin-both\n");
        var words = $"--balancer {other.Replace("FILE", file.Path, StringComparison.Ordinal)} --balancer {file.Path} --idle-timeout 3s";
        Assert.Equal([$"with 2 balancers --idle-timeout is ambiguous: {expected}"], Parse(words, several: true).Parsed.Errors.Select(error => error.Message));
    }

    [Theory]
    [InlineData("", "KA004")]
    [InlineData("- a\n", "KA024")]
    [InlineData("expiry: fin-both\n", "KA025")]
    [InlineData("idleTimeout: 5m\n", "KA025")]
    [InlineData("idleTimeout: 5\nexpiry: fin-both\n", "KA024")]
    [InlineData("idleTimeout: soon\nexpiry: fin-both\n", "KA030")]
    [InlineData("idleTimeout: 1ms\nexpiry: fin-both\n", "KA031")]
    [InlineData("idleTimeout: 5m\nexpiry: fin\n", "KA034")]
    [InlineData("idleTimeout: 5m\nexpiry: fin-both\nrefesh: any\n", "KA023")]
    [InlineData("idleTimeout: 5m\nexpiry: fin-both\nname: \"a b\"\n", "KA026")]
    [InlineData("idleTimeout: [\n", "KA010")]
    [InlineData("idleTimeout: 500ms\nexpiry: fin-both\n", "this command takes 1s or more")]
    public void Parse_FileWithAMistake_IsAnErrorWithItsPlace(string yaml, string expected)
    {
        using var file = new BalancerYaml(yaml);
        var errors = Parse($"--balancer {file.Path}", several: true).Parsed.Errors;
        Assert.Contains(expected, Assert.Single(errors).Message, StringComparison.Ordinal);
        Assert.StartsWith($"--balancer: {file.Path}:", errors[0].Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/nowhere/office.yaml", "KA001")]
    [InlineData("office.yml", "KA001")]
    [InlineData("/tmp", "is a directory")]
    public void Parse_FileThatIsNotThere_IsAnError(string path, string expected) =>
        Assert.Contains(expected, Assert.Single(Parse($"--balancer {path}", several: false).Parsed.Errors).Message, StringComparison.Ordinal);

    [Fact]
    public void Parse_TwoWhereOneIsTaken_IsAnError() => Assert.NotEmpty(Parse("--balancer aws-nlb --balancer azure-lb", several: false).Parsed.Errors);

    private static (BalancerArguments Arguments, ParseResult Parsed) Parse(string words, bool several)
    {
        var arguments = new BalancerArguments(several, s_second, "X");
        var command = new Command("check");
        arguments.AddTo(command);
        return (arguments, command.Parse(words.Split(' ', StringSplitOptions.RemoveEmptyEntries)));
    }

    private sealed class BalancerYaml : IDisposable
    {
        private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-balancer");

        public BalancerYaml(string text) => File.WriteAllText(Path, text);

        public string Path => System.IO.Path.Combine(_directory.FullName, "balancer.yaml");

        public void Dispose() => _directory.Delete(recursive: true);
    }
}
