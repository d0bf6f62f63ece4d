using Keepalive.CommandLine.Tests;
using Keepalive.Simulator.Commands;
using Xunit;

namespace Keepalive.Simulator.Tests.Commands;

/// <summary>Every option of every command with a missing, repeated or mistyped value.</summary>
public sealed class GivenValuesTests
{
    private static readonly OptionCases s_cases = new(
    [
        BalancersCommand.Create(), DemoCommand.Create(), LabCommand.Create(), RunScenarioCommand.Create(), SweepCommand.Create(), MergeCommand.Create(),
        AdviseCommand.Create(), DiscoverCommand.Create(),
    ]);

    public static TheoryData<string, string> Options => s_cases.All;

    [Theory]
    [MemberData(nameof(Options))]
    public void Option_WithoutAValue_IsAProblem(string command, string option) => s_cases.WithoutAValue_IsAProblem(command, option);

    [Theory]
    [MemberData(nameof(Options))]
    public void Option_BeforeAnother_DoesNotUseItAsItsValue(string command, string option) => s_cases.BeforeAnother_DoesNotUseItAsItsValue(command, option);

    [Theory]
    [MemberData(nameof(Options))]
    public void Option_InvalidOrTwice_DoesNotThrow(string command, string option) => s_cases.InvalidOrTwice_DoesNotThrow(command, option);

    [Fact]
    public void Argument_ThatLooksLikeAnOption_IsOneOnlyAfterTwoDashes()
    {
        Assert.Equal(["there is no option '--bogus' (a path that begins with a dash is written ./--bogus)"], s_cases.Problems("run", "--bogus"));
        Assert.Empty(s_cases.Problems("run", "--", "--bogus"));
        Assert.Empty(s_cases.Problems("lab", "--balancer", "aws-nlb", "--server=-x", "--client", "@file"));
    }
}
