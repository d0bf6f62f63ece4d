using Keepalive.Agent.Top;
using Xunit;
using static Keepalive.Agent.Tests.Top.Overviews;

namespace Keepalive.Agent.Tests.Top;

/// <summary>The live view as text on screens of fixed sizes.</summary>
public sealed class TopFrameTests
{
    private static readonly NodeSnapshot s_busy = new(
        Of(Group("pod:shop/cart-7d9f8b6c5d-x2x4q", "bookinfo/ratings-global", 1200), Probing("unit:envoy.service", "bookinfo/reviews", 2), Unprotected("uid:1000", "203.0.113.10:15443", 3)) with
        {
            Out = [new("10.77.0.2:9080", "shop/keepalive", "bookinfo/reviews", 42_000, 5, 2, 3)],
            Events = [new("set", 12_000, 40, "pod:shop/cart-7d9f8b6c5d-x2x4q", "shop/keepalive", "bookinfo/ratings-global", "keepalive off → on, time 7200s → 60s")],
        },
        null, null, null, 0);

    [Theory]
    [InlineData(80, 24)]
    [InlineData(200, 60)]
    [InlineData(40, 10)]
    [InlineData(20, 3)]
    [InlineData(500, 100)]
    public void Frame_OfAnySize_FillsItAndIsNoWider(int columns, int rows)
    {
        foreach (var keys in new[] { "", "?", "/x" })
        {
            var model = Show(s_busy);
            model.Press(keys);
            var lines = model.Lines(columns, rows);
            Assert.Equal(rows, lines.Length);
            Assert.All(lines, line => Assert.InRange(Cells.Width(line), 0, columns));
        }
    }

    [Fact]
    public void Frame_80x24_ShowsNumbersTroubleAndBars()
    {
        var model = Show(s_busy);
        model.Elapsed = 1000;
        var lines = model.Lines(80, 24);
        Assert.StartsWith(" keepalive-agent top  node-1  agent 0.1.0  bpf, capture  3 policies", lines[0], StringComparison.Ordinal);
        Assert.EndsWith("1.4s old ", lines[0], StringComparison.Ordinal);
        Assert.Equal(" 1,204 connections  1,201 managed  3 unprotected  1 unanswered  1 out", lines[1]);
        Assert.StartsWith(" OUT OF POOL", lines[2], StringComparison.Ordinal);
        Assert.Matches(@"^ 10\.77\.0\.2:9080 +bookinfo/reviews +43s +5 +2 of 3$", lines[3]);
        Assert.Matches("^ WORKLOAD +DESTINATION +CONN +UNPROT +NEXT PROBE +UNANS +RTT +SET", lines[4]);
        Assert.Matches(@"^ unit:en…ervice bookinf…reviews +1 +· ███░░░ 29s +2/4 +1\.2ms +·$", lines[5]);
        Assert.Matches(@"^ uid:1000 +203\.0\.1.*15443 +3 +3 never +· +- +·$", lines[6]);
        Assert.Matches(@"^ pod:sho….*x2x4q bookinf.*global +1,200 +· ███░░░ 29s +· +1\.2ms +·$", lines[7]);
        Assert.Contains("LAST MINUTES", lines[^4] + lines[^3], StringComparison.Ordinal);
        Assert.Contains("13s ago set      40 of pod:sho", lines[^2], StringComparison.Ordinal);
        Assert.StartsWith(" q quit", lines[^1], StringComparison.Ordinal);
    }

    [Fact]
    public void Frame_200x60_HasTheProcessAndWholeNames()
    {
        var lines = Show(s_busy).Lines(200, 60);
        Assert.Contains(lines, line => line.Contains("pod:shop/cart-7d9f8b6c5d-x2x4q", StringComparison.Ordinal) && line.Contains("bookinfo/ratings-global", StringComparison.Ordinal)
            && line.Contains("curl", StringComparison.Ordinal) && line.Contains("██████░░░░░░", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.EndsWith("keepalive off → on, time 7200s → 60s", StringComparison.Ordinal));
    }

    [Fact]
    public void Columns_OfRows_AreAligned()
    {
        var model = Show(Snapshot(Group("unit:a.service", "x", 5), Group("unit:日本語の名前.service", "宛先", 12_345), Unprotected("unit:b.service", new string('y', 200), 7)));
        foreach (var columns in new[] { 80, 132, 200 })
        {
            var lines = model.Lines(columns, 24);
            var at = Array.FindIndex(lines, line => line.StartsWith(" WORKLOAD", StringComparison.Ordinal));
            var end = Cells.Width(lines[at][..(lines[at].IndexOf("CONN", StringComparison.Ordinal) + 4)]);
            foreach (var (line, number) in new[] { (lines[at + 1], "7"), (lines[at + 2], "5"), (lines[at + 3], "12,345") })
            {
                Assert.Equal(end, Cells.Width(line[..(line.IndexOf($" {number} ", StringComparison.Ordinal) + number.Length + 1)]));
            }
        }
    }

    [Fact]
    public void Bar_DrainsUntilTheProbeIsDue()
    {
        var model = Show(Snapshot(Group("unit:a.service", "x")));
        string Bar(long elapsed)
        {
            model.Elapsed = elapsed;
            return model.Lines(80, 24).Single(line => line.Contains("unit:a", StringComparison.Ordinal));
        }
        Assert.Contains("███░░░ 30s", Bar(0), StringComparison.Ordinal);
        Assert.Contains("█░░░░░ 10s", Bar(20_000), StringComparison.Ordinal);
        Assert.Contains("░░░░░░ due", Bar(31_000), StringComparison.Ordinal);
    }

    /// <summary>Tenants choose names of processes, pods and destinations. None of their characters drives the terminal, and Spectre's markup
    /// is text.</summary>
    [Fact]
    public void Names_OfTenants_CannotDriveTheTerminal()
    {
        const string evil = "\e[2J\e]0;owned\a[red]x[/]\u202e\r\n\u009b31m";
        var snapshot = Snapshot(Group($"pod:{evil}", evil) with { Command = evil, Policy = evil });
        snapshot = snapshot with
        {
            Overview = snapshot.Overview with
            {
                Node = evil,
                Problems = [evil],
                Out = [new(evil, evil, evil, 0, 1, 1, 1)],
                Events = [new("dead", 0, 1, evil, evil, evil, evil)],
            },
        };
        var model = Show(snapshot);
        foreach (var keys in new[] { "", "\t", "/" + evil })
        {
            foreach (var key in keys)
            {
                model.Press(new ConsoleKeyInfo(key, key == '\t' ? ConsoleKey.Tab : default, false, false, false));
            }
            foreach (var columns in new[] { 80, 300 })
            {
                Assert.All(model.Lines(columns, 24), line => Assert.DoesNotContain(line.EnumerateRunes(), Keepalive.Config.TerminalText.IsUnsafe));
            }
        }
        Assert.Contains(Show(snapshot).Lines(300, 24), line => line.Contains("[red]x[/]", StringComparison.Ordinal));
    }

    [Fact]
    public void Terminal_OfTheFrame_GetsNamesAsTheyAre()
    {
        var writer = new StringWriter();
        var console = Spectre.Console.AnsiConsole.Create(new Spectre.Console.AnsiConsoleSettings
        {
            Ansi = Spectre.Console.AnsiSupport.Yes,
            ColorSystem = Spectre.Console.ColorSystemSupport.NoColors,
            Out = new Spectre.Console.AnsiConsoleOutput(writer),
        });
        console.Profile.Width = 80;
        console.Write(new FrameRenderable(TopFrame.Draw(Show(Snapshot(Group("unit:[red]x[/]", "[[y"), Probing("z", "z", 1))), 80, 24)));
        Assert.Contains("unit:[red]x[/]", writer.ToString(), StringComparison.Ordinal);
        // NO_COLOR: no colour is set; bold and reverse remain.
        Assert.DoesNotMatch(@"\e\[[0-9;]*(3|4|9|10)[0-7]m", writer.ToString());
        Assert.Contains("\e[7m", writer.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Header_OfASurvey_SaysSoAndWhy()
    {
        var overview = Of(Unprotected("uid:0", "10.0.0.1:443", 2)) with { Agent = null, IdleTimeout = 350, Datapath = null, AgeMs = 0 };
        var lines = Show(new NodeSnapshot(overview, null, null, "no agent is running: own survey, every 12.5s to save CPU", 0)).Lines(80, 24);
        Assert.Contains("survey  idle timeout 350s", lines[0], StringComparison.Ordinal);
        Assert.Equal(" 2 connections  2 unprotected  0 unanswered", lines[1]);
        Assert.Equal(" no agent is running: own survey, every 12.5s to save CPU", lines[2]);
        Assert.DoesNotContain("SET", lines[3], StringComparison.Ordinal);
        Assert.Matches(@"^ uid:0 +10\.0\.0\.1:443 +2 +2 never +· +-$", lines[4]);
    }

    /// <summary>Regression: on 40 columns names had one letter, and sentences lost their middle.</summary>
    [Fact]
    public void Frame_Narrow_KeepsOneNameAndWholeNumbers()
    {
        var lines = Show(s_busy).Lines(40, 20);
        Assert.Contains(lines, line => line.StartsWith(" unit:…vice ", StringComparison.Ordinal) && line.EndsWith(" 1      · 30s       2/4", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.StartsWith(" WORKLOAD", StringComparison.Ordinal) && line.EndsWith(" CONN UNPROT NEXT    UNANS", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.StartsWith(" uid:1000 ", StringComparison.Ordinal) && line.EndsWith(" 3 never       ·", StringComparison.Ordinal));
    }

    /// <summary>Regression: the number of connections that were set lost its first digits.</summary>
    [Theory]
    [InlineData(80, " 10,000 connections  10,000 managed  0 unprotected  0 unanswered  0 out")]
    [InlineData(100, " 10,000 connections  10,000 managed  0 unprotected  0 unanswered  0 out  set in 5m 10,000")]
    [InlineData(40, " 10,000 connections  10,000 managed")]
    public void Numbers_WithoutRoomForAll_AreWhole(int columns, string expected)
    {
        var lines = Show(Snapshot(Group("uid:0", "shop/postgres", 10_000) with { RecentlySet = 10_000 })).Lines(columns, 24);
        Assert.Equal(expected, lines[1]);
    }

    [Fact]
    public void Connections_80x24_HaveWholeAddressesOfUsualLength()
    {
        var model = Show(Snapshot(Group("unit:a.service", "x")));
        model.Press(ConsoleKey.Enter);
        model.Show(Snapshot(Group("unit:a.service", "x")).With(model.Focus!.Value, Connection(1, "10.66.0.1:39076", "10.66.0.2:5432")));
        Assert.Contains(model.Lines(80, 24), line => line.StartsWith(" 10.66.0.1:39076 10.66.0.2:5432 ", StringComparison.Ordinal));
        Assert.StartsWith(" 1 connection  1 managed", model.Lines(80, 24)[1], StringComparison.Ordinal);
    }

    [Fact]
    public void Help_80x24_IsWhole()
    {
        var model = Show(Snapshot(Group("unit:a.service", "x")));
        model.Press("?");
        var lines = model.Lines(80, 24);
        Assert.DoesNotContain(lines, line => line.Contains('…', StringComparison.Ordinal));
        Assert.Contains(lines, line => line.StartsWith(" SET ", StringComparison.Ordinal));
        Assert.StartsWith(" any key", lines[^1], StringComparison.Ordinal);
    }

    [Fact]
    public void Frame_WithMoreRowsThanLines_KeepsTheSelectionVisible()
    {
        var model = Show(Snapshot([.. Enumerable.Range(0, 200).Select(i => Group($"unit:{i:000}", "x"))]));
        model.Press(ConsoleKey.End);
        var lines = model.Lines(80, 24);
        Assert.Contains(lines, line => line.Contains("unit:199", StringComparison.Ordinal));
        Assert.Contains("200/200", lines[^1], StringComparison.Ordinal);
        model.Press(ConsoleKey.PageUp);
        Assert.Contains(model.Lines(80, 24), line => line.Contains("unit:18", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(99_999, "99,999")]
    [InlineData(1_234_567, "1,234k")]
    [InlineData(123_456_789, "123M")]
    public void Count_TooLongForItsColumn_LosesDigitsAtItsEnd(int connections, string expected)
    {
        var lines = Show(Snapshot(Group("unit:a.service", "x", connections))).Lines(80, 24);
        Assert.Contains(lines, line => line.StartsWith(" unit:a", StringComparison.Ordinal) && line.Contains(expected + " ", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("short", 10, "short     ")]
    [InlineData("pod:shop/cart-7d9f8b", 11, "pod:s…d9f8b")]
    [InlineData("日本語日本語", 7, "日…語  ")]
    [InlineData("abc", 1, "…")]
    [InlineData("abc", 0, "")]
    public void Fit_LongText_LosesItsMiddle(string text, int columns, string expected)
    {
        Assert.Equal(expected, Cells.Fit(text, columns));
        Assert.Equal(columns, Cells.Width(expected));
    }
}
