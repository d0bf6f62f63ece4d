using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>The scripts of `completion` and the manual pages have what the help has; bash runs its script here, the other shells in `make packages`.</summary>
public sealed class CompletionTests
{
    public static TheoryData<string> Names => ["keepalive-agent", "keepalive-sim"];

    [Theory]
    [InlineData("keepalive-agent", "keepalive-agent re", "render")]
    [InlineData("keepalive-agent", "keepalive-agent run --datapath ", "auto bpf pidfd")]
    [InlineData("keepalive-agent", "keepalive-agent run --existing = k", "keep")]
    [InlineData("keepalive-agent", "keepalive-agent run --dry", "--dry-run")]
    [InlineData("keepalive-agent", "keepalive-agent check /etc/os-rel", "/etc/os-release")]
    [InlineData("keepalive-agent", "keepalive-agent run --cgroup /sys/fs/cgro", "/sys/fs/cgroup")]
    [InlineData("keepalive-agent", "keepalive-agent run --interval ", "")]
    [InlineData("keepalive-agent", "keepalive-agent completion z", "zsh")]
    [InlineData("keepalive-sim", "keepalive-sim advise --balancer aws-nl", "aws-nlb aws-nlb-tls")]
    [InlineData("keepalive-sim", "keepalive-sim lab-", "")]
    public void Bash_WordsOfALine_AreCompleted(string name, string line, string expected)
    {
        const string script = """
            eval "$("$1" completion bash)"
            read -ra COMP_WORDS <<<"$2"
            [[ $2 != *" " ]] || COMP_WORDS+=("")
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            "$(complete -p "$3" | sed 's/.* -F \([^ ]*\) .*/\1/')"
            echo "${COMPREPLY[*]}"
            """;
        var completed = ProgramRun.ToEnd(["bash", "-c", script, "bash", PathOf(name), line, name]);
        Assert.Equal((expected + "\n", ""), (completed.Output, completed.Error));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Scripts_OfEachShell_HaveAllCommandsAndOptions(string name)
    {
        foreach (var (shell, option) in new (string, Func<string, string>)[] { ("bash", static name => name), ("zsh", static name => name), ("fish", static name => "-l " + name[2..]) })
        {
            var script = ProgramRun.ToEnd([PathOf(name), "completion", shell]);
            Assert.Equal((0, ""), (script.ExitCode, script.Error));
            foreach (var command in Programs.All.Where(command => command[0] == PathOf(name) && command.Length > 1))
            {
                Assert.Contains(command[1], script.Output, StringComparison.Ordinal);
                Assert.All(OptionsOf(command), each => Assert.Contains(option(each), script.Output, StringComparison.Ordinal));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Manual_OfEachCommand_HasAllOptions(string name)
    {
        var directory = Directory.CreateTempSubdirectory("keepalive-manual");
        try
        {
            Assert.Equal(0, ProgramRun.ToEnd([PathOf(name), "manual", directory.FullName]).ExitCode);
            var commands = Programs.All.Where(command => command[0] == PathOf(name)).ToList();
            Assert.Equal(
                commands.Select(command => command.Length > 1 ? $"{name}-{command[1]}.1" : $"{name}.1").Order(StringComparer.Ordinal),
                directory.GetFiles().Select(file => file.Name).Order(StringComparer.Ordinal));
            foreach (var command in commands.Where(command => command.Length > 1))
            {
                var page = File.ReadAllText(Path.Combine(directory.FullName, $"{name}-{command[1]}.1"));
                Assert.All(OptionsOf(command), option => Assert.Contains(option.Replace("-", "\\-", StringComparison.Ordinal), page, StringComparison.Ordinal));
                // Every line that begins with a dot is a request of the man macros, not text.
                Assert.All(page.Split('\n').Where(line => line.StartsWith('.')), line => Assert.Matches(@"^\.(TH|SH|TP|nf|fi)( |$)", line));
            }
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    [Fact]
    public void Completion_UnknownShell_IsWrongUsage()
    {
        var result = ProgramRun.ToEnd([ProgramRun.AgentPath, "completion", "csh"]);
        Assert.Equal((2, "keepalive-agent: completion takes bash, zsh or fish, not 'csh'"), (result.ExitCode, result.Error.Split('\n')[0]));
    }

    private static string PathOf(string name) => name == "keepalive-agent" ? ProgramRun.AgentPath : ProgramRun.SimulatorPath;

    /// <summary>The long names of a command's options, as its help lists them at the start of a line.</summary>
    private static IEnumerable<string> OptionsOf(string[] command) =>
        ProgramRun.ToEnd([.. command, "--help"]).Output.Split('\n').Where(line => line.StartsWith("  -", StringComparison.Ordinal))
            .Select(line => line.Split(' ', ',').First(word => word.StartsWith("--", StringComparison.Ordinal)));
}
