using System.Globalization;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>Runs every command of the pages' <c>console</c> blocks, in order, and compares its output with the page.</summary>
/// <remarks>
/// <code>
///   a user's shell, with PID and mount namespaces of its own         the servers
///   10.20.0.2 eth0 ──────────────────────────────────────────── eth0 10.20.0.5:5432, 10.20.0.6:6379, 10.20.0.7:443
/// </code>
/// python3 holds a connection to each server: without keepalive, with keepalive after 300 s, and with keepalive after 1 s. The first server's name is
/// db.shop.example.
/// </remarks>
public sealed class PageCommandsTests : IDisposable
{
    private const string Mark = "@@@ ";
    private const string Demo = "keepalive-sim demo --report out/demo.html";

    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(2);

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-page");
    private Holder? _client;
    private Holder? _server;

    public static TheoryData<string> Pages => [.. Page.All.Where(path => PageCommand.Of(Page.Read(path)).Any())];

    [Theory]
    [MemberData(nameof(Pages))]
    public void Page_EachCommand_PrintsWhatThePageShows(string path)
    {
        Live.Require("python3", "tcpdump", "curl", "nginx");
        var page = Page.Read(path);
        List<PageCommand> commands = [.. PageCommand.Of(page)];
        MakeBed();
        MakeDirectory(page);
        File.WriteAllText(InDirectory("page.sh"), Script(commands));

        var result = ProgramRun.ToEnd(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--", "bash", InDirectory("page.sh")], _client, s_patience);

        var printed = Printed(result);
        Assert.True(printed.Count == commands.Count, $"{printed.Count} of {commands.Count} commands ended\n{result.Output}{result.Error}");
        Assert.All(commands.Zip(printed), one =>
        {
            var (command, (lines, exitCode)) = one;
            string all = $"{command.Place}: {command.Text}\n";
            Assert.True(command.Difference(lines) is not { } difference, $"{all}{command.Difference(lines)}\nall that was printed:\n{string.Join('\n', lines)}");
            Assert.True(exitCode == command.ExitCode, $"{all}exit code {exitCode} instead of {command.ExitCode}\n{string.Join('\n', lines)}");
        });
    }

    [Theory]
    [InlineData(false, "a 5 s", "a 7 s", true)]
    [InlineData(true, "a 5 s", "a 7 s", false)]
    [InlineData(false, "1.5s  x", "200ms x", true)]
    [InlineData(false, "10.20.0.2:40000 → 10.20.0.5:5432", "10.20.0.2:50123 → 10.20.0.5:5432", true)]
    [InlineData(false, "10.20.0.5:5432", "10.20.0.6:5432", false)]
    [InlineData(false, "10.20.0.5:5432", "10.20.0.5:5433", false)]
    [InlineData(false, "a\n…\nd", "a\nb\nc\nd", true)]
    [InlineData(false, "a\n…\nd", "a\nb\nc", false)]
    [InlineData(false, "a\n…\nb\nc", "a\nb\nx\nb\nc", true)]
    [InlineData(false, "a\n…\nb\nc\n…", "a\nb\nx\nb\nd", false)]
    [InlineData(false, "a\nb", "a\nx\nb", false)]
    [InlineData(false, "a", "a\nb", false)]
    [InlineData(false, "a\nb", "a", false)]
    [InlineData(false, "set …: done", "set 1 and 2: done", true)]
    [InlineData(false, "set …: done", "set 1 and 2: failed", false)]
    [InlineData(false, "3 sockets", "3 socket", false)]
    public void Difference_OfPageAndOutput_IsFound(bool isExact, string page, string printed, bool same) =>
        Assert.Equal(same, new PageCommand("", "", page.Split('\n'), 0, isExact).Difference(printed.Split('\n')) is null);

    [Theory]
    [InlineData("   0.500 s  lab       a\nmine\n   1.500 s  lab       b", true)]
    [InlineData("mine\n   0.500 s  lab       a\n   1.500 s  lab       b", true)]
    [InlineData("   0.500 s  lab       a\n   1.500 s  lab       b", false)]
    [InlineData("mine\n   0.500 s  lab       b\n   1.500 s  lab       a", false)]
    [InlineData("mine\nyours\n   0.500 s  lab       a\n   1.500 s  lab       b", false)]
    public void Difference_OfALabWithCommands_OrdersTheLinesOfEach(string printed, bool same) => Assert.Equal(same, new PageCommand(
        "", "keepalive-sim lab --client x", ["   0.400 s  lab       a", "mine", "   1.400 s  lab       b"], 0, IsExact: false).Difference(printed.Split('\n')) is null);

    /// <summary>The make recipe is the build and this command. The build runs before the tests.</summary>
    [Fact]
    public void Makefile_Demo_RunsTheCommandOfThisTest()
    {
        var lines = File.ReadAllLines(Path.Combine(Repository.Root, "Makefile")).ToList();
        int at = lines.FindIndex(line => line.StartsWith("demo:", StringComparison.Ordinal));
        Assert.Equal(["\t@scripts/build any $(CONFIGURATION)", $"\tout/{Demo}", ""], lines.Skip(at + 1).Take(3));
    }

    public void Dispose()
    {
        _client?.Dispose();
        _server?.Dispose();
        _directory.Delete(recursive: true);
    }

    private string InDirectory(string name) => Path.Combine(_directory.FullName, name);

    private void MakeBed()
    {
        _client = Holder.StartInNewNamespace();
        _server = Holder.StartInNewNamespace();
        string pid = _server.Pid.ToString(CultureInfo.InvariantCulture);
        _client.Ip($"link add eth0 type veth peer name eth0 netns {pid}", "addr add 10.20.0.2/24 dev eth0", "link set eth0 up");
        _server.Ip("addr add 10.20.0.5/24 dev eth0", "addr add 10.20.0.6/24 dev eth0", "addr add 10.20.0.7/24 dev eth0", "link set eth0 up");
        _server.Listen("10.20.0.5", 5432);
        _server.Listen("10.20.0.6", 6379);
        _server.Listen("10.20.0.7", 443);
    }

    /// <summary>The working directory of the commands: the examples, the files on the page, and the programs.</summary>
    private void MakeDirectory(Page page)
    {
        Directory.CreateSymbolicLink(InDirectory("examples"), Path.Combine(Repository.Root, "examples"));
        foreach (var block in page.Blocks.Where(block => block.Info == "python"))
        {
            File.WriteAllLines(InDirectory(block.Lines[0].TrimStart('#', ' ')), block.Lines);
        }
        File.WriteAllText(InDirectory("hosts"), "127.0.0.1 localhost\n::1 localhost\n10.20.0.5 db.shop.example\n");
        Directory.CreateDirectory(InDirectory("bin"));
        File.CreateSymbolicLink(InDirectory("bin/keepalive-agent"), ProgramRun.AgentPath);
        File.CreateSymbolicLink(InDirectory("bin/keepalive-sim"), ProgramRun.SimulatorPath);
        File.WriteAllText(InDirectory("connections.py"), """
            import os, socket, time
            held = []
            for address, values in (("10.20.0.5", 5432), None), (("10.20.0.6", 6379), (300, 10, 9)), (("10.20.0.7", 443), (1, 1, 5)):
                held.append(socket.create_connection(address))
                if values:
                    for option, value in zip((socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT), values):
                        held[-1].setsockopt(socket.IPPROTO_TCP, option, value)
                    held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            open("connected", "w").close()
            time.sleep(600)
            """);
    }

    private string Script(IEnumerable<PageCommand> commands)
    {
        var text = new StringWriter();
        text.Write($$"""
            cd {{_directory.FullName}}
            export PATH={{InDirectory("bin")}}:$PATH TERM=dumb
            mount -t tmpfs tmpfs /run
            mkdir /run/lock
            mount --bind hosts /etc/hosts
            mkdir -p out
            python3 connections.py </dev/null >/dev/null &
            disown
            for i in {1..100}; do [[ -e connected ]] || sleep 0.1; done
            keepalive-sim() {
                local words=("$@")
                if [[ $1 == demo || " $* " == *" --agent "* ]]; then words+=(--agent-program {{ProgramRun.AgentPath}}); fi
                command keepalive-sim "${words[@]}"
            }
            exec 2>&1

            """.ReplaceLineEndings("\n"));
        foreach (var command in commands)
        {
            string line = command.Text == "make demo" ? Demo : command.Text;
            text.Write($"{line}\nended=$?; echo; echo \"{Mark}$ended\"\n");
            if (line.EndsWith(" &", StringComparison.Ordinal))
            {
                text.Write("for i in {1..100}; do curl -sf localhost:9464/readyz >/dev/null || sleep 0.1; done\n");
            }
        }
        return text.ToString();
    }

    private static List<(IReadOnlyList<string> Lines, int ExitCode)> Printed(CommandResult result)
    {
        List<(IReadOnlyList<string>, int)> printed = [];
        List<string> lines = [];
        // The agent prints this about the test bed: in a PID namespace of its own it uses pidfd. On a node it does not print it.
        foreach (string line in result.Output.Split('\n').Where(line => !line.EndsWith("; using pidfd", StringComparison.Ordinal)))
        {
            if (line.StartsWith(Mark, StringComparison.Ordinal))
            {
                // The script adds the empty line before the mark, and the newline at the end.
                lines.RemoveAt(lines.Count - 1);
                while (lines is [.., ""])
                {
                    lines.RemoveAt(lines.Count - 1);
                }
                printed.Add((lines, int.Parse(line[Mark.Length..], CultureInfo.InvariantCulture)));
                lines = [];
            }
            else
            {
                lines.Add(line);
            }
        }
        return printed;
    }
}
