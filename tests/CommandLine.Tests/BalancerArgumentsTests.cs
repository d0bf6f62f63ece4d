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
        "--balancer: \"aws-nbl\" is not known; did you mean aws-nlb? 'keepalive-sim balancers' lists all. For another, measure the idle timeout and write X")]
    [InlineData("--balancer aws-ec2",
        "--balancer: aws-ec2 depends on the instance type: machines of the sixth Nitro generation (c8i, m8i, r8i and others) drop idle connections after 350s, "
        + "all others after 432000s; write aws-security-group, or aws-security-group=432000s")]
    public void Parse_Mistake_IsOneErrorThatSaysWhatToWrite(string words, string expected) =>
        Assert.Equal([expected], Parse(words, several: true).Parsed.Errors.Select(error => error.Message));

    [Fact]
    public void Parse_TwoWhereOneIsTaken_IsAnError() => Assert.NotEmpty(Parse("--balancer aws-nlb --balancer azure-lb", several: false).Parsed.Errors);

    private static (BalancerArguments Arguments, ParseResult Parsed) Parse(string words, bool several)
    {
        var arguments = new BalancerArguments(several, s_second, "X");
        var command = new Command("check");
        arguments.AddTo(command);
        return (arguments, command.Parse(words.Split(' ', StringSplitOptions.RemoveEmptyEntries)));
    }
}
