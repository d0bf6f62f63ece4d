using System.CommandLine;
using Keepalive.CommandLine;
using Keepalive.Simulator.Commands;
using Xunit;

namespace Keepalive.Simulator.Tests.Commands;

/// <summary>Every option of every command with a missing, repeated or mistyped value.</summary>
public sealed class GivenValuesTests
{
    private static readonly RootCommand s_root =
    [
        BalancersCommand.Create(), DemoCommand.Create(), LabCommand.Create(), RunScenarioCommand.Create(), SweepCommand.Create(), AdviseCommand.Create(),
        DiscoverCommand.Create(),
    ];

    public static TheoryData<string, string> Options
    {
        get
        {
            var all = new TheoryData<string, string>();
            foreach (var command in s_root.Subcommands)
            {
                foreach (var option in command.Options.Where(option => option.ValueType != typeof(bool)))
                {
                    foreach (string name in option.Aliases.Append(option.Name))
                    {
                        all.Add(command.Name, name);
                    }
                }
            }

            return all;
        }
    }

    [Theory]
    [MemberData(nameof(Options))]
    public void Option_WithoutAValue_IsAProblem(string command, string option)
    {
        Assert.NotEmpty(Problems(command, option));
        Assert.NotEmpty(Problems(command, option + "="));
        Assert.Contains(Problems(command, option, ""), problem => problem.EndsWith(" is empty", StringComparison.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Options))]
    public void Option_BeforeAnother_DoesNotUseItAsItsValue(string command, string option)
    {
        foreach (string other in s_root.Subcommands.Single(c => c.Name == command).Options.SelectMany(o => o.Aliases.Append(o.Name)))
        {
            Assert.Contains(Problems(command, option, other), problem => problem.EndsWith($" takes a value, and {other} is an option", StringComparison.Ordinal));
            Assert.Contains(Problems(command, option + "=", other), problem => problem.EndsWith($" takes a value, and {other} is an option", StringComparison.Ordinal));
        }
        Assert.Contains(Problems(command, option, "--dry-rnu"), problem => problem.Contains("'--dry-rnu' looks like an option", StringComparison.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Options))]
    public void Option_InvalidOrTwice_DoesNotThrow(string command, string option)
    {
        Problems(command, option, "?!");
        var twice = Problems(command, option, "1", option, "1");
        bool several = s_root.Subcommands.Single(c => c.Name == command).Options.Single(o => o.Name == option || o.Aliases.Contains(option))
            .Arity.MaximumNumberOfValues > 1;

        Assert.True(several || twice.Count > 0);
    }

    [Fact]
    public void Argument_ThatLooksLikeAnOption_IsOneOnlyAfterTwoDashes()
    {
        Assert.Equal(["there is no option '--bogus' (a path that begins with a dash is written ./--bogus)"], Problems("run", "--bogus"));
        Assert.Empty(Problems("run", "--", "--bogus"));
        Assert.Empty(Problems("lab", "--balancer", "aws-nlb", "--server=-x", "--client", "@file"));
    }

    private static IReadOnlyList<string> Problems(params string[] words) =>
        GivenValues.Problems(s_root.Parse(words, new ParserConfiguration { ResponseFileTokenReplacer = null }));
}
