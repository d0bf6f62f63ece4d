using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.RegularExpressions;
using Keepalive.CommandLine;
using Keepalive.Simulator.Commands;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Commands;

/// <summary>The command line of <c>keepalive-sim discover</c>, and what it does before and while it measures.</summary>
public sealed partial class DiscoverCommandTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("keepalive-discover-command-test-").FullName;

    /// <summary>Accepts nothing: the kernel completes the handshakes, and acknowledges probes.</summary>
    private readonly TcpListener _server = new(IPAddress.Loopback, 0);

    public DiscoverCommandTests() => _server.Start(backlog: 500);

    private string Target => $"127.0.0.1:{((IPEndPoint)_server.LocalEndpoint).Port}";

    public void Dispose()
    {
        _server.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    [Theory]
    [InlineData("'a' is no HOST:PORT, like example.org:443 or [2001:db8::1]:443", "a")]
    [InlineData("'b' is no HOST:PORT, like example.org:443 or [2001:db8::1]:443", "a:1", "--direct", "b")]
    [InlineData("--connections takes a number from 8 to 256", "a:1", "--connections", "3")]
    [InlineData("--precision takes a percentage from 0.1% to 50%, like 2%", "a:1", "--precision", "90%")]
    [InlineData("--precision takes a percentage from 0.1% to 50%, like 2%", "a:1", "--precision", "some")]
    [InlineData("--precision takes a percentage: '0.02' has no percent sign; write 2%", "a:1", "--precision", "0.02")]
    [InlineData("--precision takes a percentage: '5' has no percent sign; write 5%", "a:1", "--precision", "5")]
    [InlineData("--precision takes a percentage: '90' has no percent sign; write 2%, for example", "a:1", "--precision", "90")]
    [InlineData("--out describes one balancer: give one HOST:PORT, and run it once for each", "a:1", "b:1", "--out", "a.yaml")]
    [InlineData("--http and --send exclude each other", "a:1", "--http", "/", "--send", "x")]
    [InlineData("--http takes a path, like /healthz", "a:1", "--http", "healthz")]
    [InlineData("--http takes a path as a request line has it: a space is written %20", "a:1", "--http", "/a b")]
    [InlineData(@"--send: '\q' is not known; it takes \r, \n, \t, \xHH, and \\ for a backslash", "a:1", "--send", @"a\q")]
    [InlineData("--name takes lower-case letters, digits and dashes", "a:1", "--name", "A b")]
    [InlineData("--out takes a path that --balancer knows from a balancer's name: office.yaml or ./office", "a:1", "--out", "office")]
    [InlineData("Option '--out' expects a single argument but 2 were provided.", "a:1", "--out", "a.yaml", "--out", "b.yaml")]
    public void Options_Mistake_IsOneErrorThatSaysWhatToWrite(string expected, params string[] words) =>
        Assert.Equal([expected], GivenValues.Problems(DiscoverCommand.Create().Parse(words)));

    /// <summary>Regression: a file that cannot be written was reported when the measurement was over.</summary>
    [Theory]
    [InlineData("nowhere/office.yaml", "--out: Could not find a part of the path")]
    [InlineData(".", "--out: . is not a regular file")]
    [InlineData("/dev/null", "--out: /dev/null is not a regular file")]
    public void Out_CannotBeWritten_IsReportedBeforeTheFirstConnection(string file, string expected)
    {
        using var run = new ProgramRun([ProgramRun.SimulatorPath, "discover", Target, "--out", file == "." ? "./" : file], directory: _directory);

        Assert.Equal((4, ""), (run.WaitForExit(), run.Output));
        Assert.Contains(expected.Replace(" . ", " ./ ", StringComparison.Ordinal), run.Error, StringComparison.Ordinal);
        Assert.False(_server.Pending());
    }

    /// <summary>A file of an earlier measurement is kept until there is another result.</summary>
    [Fact]
    public void Out_NothingForgotten_LeavesTheFileAsItWas()
    {
        var kept = Path.Combine(_directory, "kept.yaml");
        var created = Path.Combine(_directory, "new.yaml");
        File.WriteAllText(kept, "idleTimeout: 5m\n");
        foreach (var file in (string[])[kept, created])
        {
            var run = ProgramRun.ToEnd([ProgramRun.SimulatorPath, "discover", Target, "--until", "2s", "--connections", "8", "--out", file]);

            Assert.Equal(4, run.ExitCode);
            Assert.Contains($"{file} was not written: nothing was forgotten", run.Error, StringComparison.Ordinal);
            Assert.Contains("longer than ", run.Output, StringComparison.Ordinal);
        }
        Assert.Equal("idleTimeout: 5m\n", File.ReadAllText(kept));
        Assert.False(File.Exists(created));
    }

    /// <summary>One address under two names is measured once, and a direct way must be another one.</summary>
    [Fact]
    public void Addresses_Twice_AreMeasuredOnce()
    {
        var twice = ProgramRun.ToEnd([ProgramRun.SimulatorPath, "discover", Target, Target, "--until", "2s", "--connections", "8", "-o", "json"]);
        var direct = ProgramRun.ToEnd([ProgramRun.SimulatorPath, "discover", Target, "--direct", Target, "--until", "2s", "--connections", "8"]);

        Assert.Equal((0, 1), (twice.ExitCode, twice.Lines.Count()));
        Assert.Equal(4, direct.ExitCode);
        Assert.Contains($"--direct {Target} is {Target}, which is measured anyway: give an address past the balancer", direct.Error, StringComparison.Ordinal);
    }

    /// <summary>Regression: when all was known of the balancer, the direct way was measured to --until.</summary>
    [Fact]
    public async Task Direct_LivesLonger_EndsWhenThatIsClear()
    {
        using var closing = new TcpListener(IPAddress.Loopback, 0);
        closing.Start(backlog: 500);
        using var stop = new CancellationTokenSource();
        var accepting = AcceptAndClose(closing, TimeSpan.FromSeconds(2), stop.Token);
        var run = ProgramRun.ToEnd([ProgramRun.SimulatorPath, "discover", $"127.0.0.1:{((IPEndPoint)closing.LocalEndpoint).Port}", "--direct", Target, "--until", "50s", "--connections", "16"]);
        await stop.CancelAsync();
        await accepting;

        Assert.Equal((0, ""), (run.ExitCode, run.Error));
        Assert.Contains("  at expiry       fin-both\n", run.Output, StringComparison.Ordinal);
        Assert.Matches($@"  direct way      {Target}: longer than \d\d?\.\d\d s: nothing was forgotten\n", run.Output);
        Assert.DoesNotMatch(@"direct way .* longer than [345]\d\.", run.Output);
    }

    /// <summary>Without a terminal nothing is printed but the result; an interruption prints the part that is known.</summary>
    [Theory]
    [InlineData("INT", 2)]
    [InlineData("TERM", 15)]
    [InlineData("HUP", 1)]
    public void Interruption_InAPipe_PrintsTheKnownPartAlone(string signal, int number)
    {
        var whole = Stopwatch.StartNew();
        using var run = new ProgramRun([ProgramRun.SimulatorPath, "discover", Target, "--until", "20m"]);
        Eventually.True(() => _server.Pending(), TimeSpan.FromSeconds(20));
        var since = Stopwatch.StartNew();
        Eventually.True(() => since.Elapsed > TimeSpan.FromSeconds(4), TimeSpan.FromSeconds(10));
        Command.Run("kill", $"-{signal}", $"{run.Pid}");

        Assert.Equal((128 + number, ""), (run.WaitForExit(), run.Error));
        var longer = LongerThan().Match(run.Output);
        Assert.True(longer.Success, run.Output);
        Assert.InRange(double.Parse(longer.Groups[1].Value, CultureInfo.InvariantCulture), 1, whole.Elapsed.TotalSeconds);
        Assert.Contains("ended early     interrupted", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Interruption_IgnoredAsUnderNohup_GoesOn()
    {
        using var run = new ProgramRun(["sh", "-c", $"trap '' HUP; exec {ProgramRun.SimulatorPath} discover {Target} --until 3s --connections 8"]);
        Eventually.True(() => _server.Pending(), TimeSpan.FromSeconds(20));
        Command.Run("kill", "-HUP", $"{run.Pid}");

        Assert.Equal((0, ""), (run.WaitForExit(), run.Error));
    }

    /// <summary>Regression: the runtime aborted when it could not open what it needed.</summary>
    [Theory]
    [InlineData(60)]
    [InlineData(75)]
    [InlineData(90)]
    [InlineData(128)]
    [InlineData(256)]
    public void Descriptors_Few_MeasuresWithFewerConnectionsOrSaysWhyNot(int limit)
    {
        var run = ProgramRun.ToEnd(["sh", "-c", $"ulimit -n {limit}; exec {ProgramRun.SimulatorPath} discover {Target} --until 2s"]);

        if (run.ExitCode == 0)
        {
            Assert.Matches(@"longer than (1\.\d\d|2\.0\d) s", run.Output);
            Assert.Matches($@"^(keepalive-sim: {limit} file descriptors leave room for \d+ connections to each address instead of 64: .*\n)?$", run.Error);
        }
        else
        {
            Assert.Equal((3, ""), (run.ExitCode, run.Output));
            Assert.Matches($@"^keepalive-sim: only {limit} file descriptors are allowed, and \d+ are needed at least\. Raise the limit: ulimit -n 256\n$", run.Error);
        }
        Assert.True(limit < 256 || run is { ExitCode: 0, Error: "" }, run.Error);
    }

    /// <summary>The soft limit is raised to the hard one.</summary>
    [Fact]
    public void Descriptors_LowSoftLimit_IsRaised()
    {
        var run = ProgramRun.ToEnd(["sh", "-c", $"ulimit -Sn 75; exec {ProgramRun.SimulatorPath} discover {Target} --until 2s"]);

        Assert.Equal((0, ""), (run.ExitCode, run.Error));
        Assert.Contains("measured        ", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Refused_Connection_IsOneLineAndNoFigures()
    {
        var run = ProgramRun.ToEnd([ProgramRun.SimulatorPath, "discover", "127.0.0.1:1"]);

        Assert.Equal((4, "127.0.0.1:1\n  not measured    the connection was refused\n", ""), (run.ExitCode, run.Output, run.Error));
    }

    /// <summary>Regression: the line of progress had several rows on a narrow terminal, each time below the last.</summary>
    [Theory]
    [InlineData(80)]
    [InlineData(30)]
    public void Progress_OnATerminal_StaysInOneRow(int columns)
    {
        Live.Require("script", "stty");
        var run = ProgramRun.ToEnd(
            ["script", "-qec", $"stty cols {columns} && {ProgramRun.SimulatorPath} discover {Target} localhost:1 [::1]:1 127.0.0.2:1 --until 3s --connections 8", "/dev/null"]);
        var rows = Escape().Replace(run.Output, "\r").Split(['\r', '\n']).Where(row => row.StartsWith("discover: ", StringComparison.Ordinal)).ToList();

        Assert.NotEmpty(rows);
        Assert.All(rows, row => Assert.True(row.Length < columns, row));
        // Those that refuse connections are not shown any more.
        Assert.Matches(columns < 80 ? "^discover: longer than [1-3]" : @"^discover: longer than [1-3]\.\d s; about [1-4]s left$", rows[^1].TrimEnd());
    }

    private static async Task AcceptAndClose(TcpListener server, TimeSpan after, CancellationToken stop)
    {
        var open = new List<Task>();
        try
        {
            while (true)
            {
                var client = await server.AcceptTcpClientAsync(stop);
                open.Add(Task.Delay(after, stop).ContinueWith(_ => client.Dispose(), TaskScheduler.Default));
            }
        }
        catch (OperationCanceledException)
        {
        }
        await Task.WhenAll(open);
    }

    [GeneratedRegex(@"\e\[[0-9;?]*[A-Za-z]")]
    private static partial Regex Escape();

    [GeneratedRegex(@"idle timeout    longer than (\d+\.\d\d) s: nothing was forgotten by then")]
    private static partial Regex LongerThan();
}
