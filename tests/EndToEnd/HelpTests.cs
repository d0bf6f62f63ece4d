using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>Help fits a screen, is grouped by subject, and has an example that works.</summary>
public sealed class HelpTests
{
    private const int Lines = 40;
    private const int Columns = 100;

    public static TheoryData<string, string> Commands
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (var command in Programs.All)
            {
                data.Add(command[0], command.Length > 1 ? command[1] : "");
            }
            return data;
        }
    }

    [Fact]
    public void Commands_OfBothPrograms_AreAllFound() => Assert.Equal(
        ["", "run", "check", "audit", "render", "explain", "sockets", "top", "probes", "support", "completion", "", "balancers", "demo", "lab", "run", "sweep", "merge", "advise", "discover", "completion"],
        Programs.All.Select(command => command.ElementAtOrDefault(1) ?? ""));

    [Theory]
    [MemberData(nameof(Commands))]
    public void Help_OfACommand_FitsAScreen(string program, string command)
    {
        var lines = Help(program, command);
        Assert.InRange(lines.Count, 5, Lines);
        Assert.All(lines, line => Assert.InRange(line.Length, 0, Columns));
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public void Help_OfACommand_HasEachOptionUnderASubject(string program, string command)
    {
        var lines = Help(program, command);
        Assert.StartsWith($"Usage: {Path.GetFileName(program)} ", lines[2], StringComparison.Ordinal);
        Assert.Equal(command.Length == 0, lines.Contains("Options:"));
        Assert.Empty(Wording.Problems(string.Join('\n', lines)));
    }

    /// <summary>The unknown option is the only error, so the rest of the example is valid.</summary>
    [Theory]
    [MemberData(nameof(Commands))]
    public void Help_OfACommand_EndsWithAValidExample(string program, string command)
    {
        var lines = Help(program, command);
        int at = lines.LastIndexOf("Example:");
        string example = string.Join('\n', lines.Skip(at + 1)).Split(" | ")[0].Trim();
        string name = Path.GetFileName(program);
        Assert.StartsWith($"{name} {command}", example, StringComparison.Ordinal);
        var result = ProgramRun.ToEnd(["bash", "-c", $"{name}() {{ '{program}' \"$@\"; }}; {example} --no-such-option"]);
        Assert.Equal(2, result.ExitCode);
        string complaint = Assert.Single(result.Error.Split('\n'), line => line.StartsWith($"{name}: ", StringComparison.Ordinal));
        Assert.Contains("--no-such-option", complaint, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("keepalive-agent", "audit", "check", "support")]
    [InlineData("keepalive-sim", "demo", "balancers", "advise")]
    public void Program_WithoutArguments_NamesThreeCommandsToTryFirst(string name, params string[] commands)
    {
        var result = ProgramRun.ToEnd([name == "keepalive-agent" ? ProgramRun.AgentPath : ProgramRun.SimulatorPath]);
        var lines = result.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal((2, ""), (result.ExitCode, result.Output));
        Assert.Equal($"{name}: no command. Try one of these first:", lines[0]);
        Assert.Equal(commands, lines[1..4].Select(line => line.TrimStart().Split(' ')[1]));
        Assert.Equal($"See '{name} --help'.", lines[4]);
        Assert.Equal(5, lines.Length);
    }

    private static List<string> Help(string program, string command)
    {
        var result = ProgramRun.ToEnd([program, .. command.Length > 0 ? [command] : (string[])[], "--help"]);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        return [.. result.Output.TrimEnd('\n').Split('\n')];
    }
}
