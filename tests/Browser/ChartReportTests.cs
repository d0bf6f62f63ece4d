using Keepalive.Testbed;
using Microsoft.Playwright;
using Xunit;

namespace Keepalive.Browser;

/// <summary>The reports with charts as a person sees them: <c>run</c>, <c>sweep</c> and <c>discover</c>.</summary>
public sealed class ChartReportTests(Chromium chromium) : IClassFixture<Chromium>, IDisposable
{
    private const string Hostile = "<script>alert(1)<";

    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(2);

    private static readonly Lazy<string> s_run = new(static () => Made("run.html", "run", "guide-outage"));
    private static readonly Lazy<string> s_dead = new(static () => Made("run-dead.html", "run", "dead-endpoint"));

    private static readonly Lazy<string> s_sweep = new(static () => Made(
        "sweep.html", "sweep", "guide-policy", "--set", "connections=200", "--set", "keepalive.time=50s..700s/14", "--set", "network.loss=0,5%,20%,40%"));

    private static readonly Lazy<string> s_discover = new(static () =>
    {
        var file = Path.Combine(Chromium.Pictures, "discover.html");
        var discover = $"'{ProgramRun.SimulatorPath}' discover $LAB_SERVER:80 --until 1m --name office --report '{file}'";
        var result = ProgramRun.ToEnd(
            [ProgramRun.SimulatorPath, "lab", "--balancer", "aws-nlb", "--idle-timeout", "5s", "--server", "nginx -g \"daemon off;\"", "--client", discover], timeout: s_patience);
        Assert.True(result.ExitCode == 0, result.Output + result.Error);
        return file;
    });

    private readonly string _directory = Directory.CreateTempSubdirectory("keepalive-browser-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData(ColorScheme.Light, "rgb(0, 114, 178)")]
    [InlineData(ColorScheme.Dark, "rgb(93, 181, 238)")]
    public async Task Run_EachScheme_ShowsFailuresBesideTheClosedForm(ColorScheme scheme, string blue)
    {
        await using var report = await chromium.OpenAsync(s_run.Value, scheme);

        Assert.Equal("Scenario guide-outage", await report.Page.Locator("h1").InnerTextAsync());
        Assert.StartsWith("49.", await report.Page.Locator("#verdict").InnerTextAsync(), StringComparison.Ordinal);
        Assert.Equal(["Failed requests", "Keepalive probes", "Connections that the balancer dropped", "Failures by connection"], await report.Page.Locator(".chart h3").AllInnerTextsAsync());
        var failures = report.Pictures.First;
        Assert.Contains("closed form", await failures.Locator("text").AllTextContentsAsync());
        Assert.Contains("of the requests, %", await failures.Locator("text").AllTextContentsAsync());
        Assert.Equal(blue, await failures.Locator(".s-series1").First.EvaluateAsync<string>("one => getComputedStyle(one).stroke"));
        await report.PictureAsync($"run-{scheme}");
        Assert.Empty(await report.FaintAsync());
        Assert.Empty(await report.OverlapsAsync());
        report.IsQuiet();
    }

    [Theory]
    [InlineData(ColorScheme.Light)]
    [InlineData(ColorScheme.Dark)]
    public async Task Run_DeadEndpoint_ShowsHowLongItTookToNotice(ColorScheme scheme)
    {
        await using var report = await chromium.OpenAsync(s_dead.Value, scheme);

        var titles = await report.Page.Locator(".chart h3").AllInnerTextsAsync();
        Assert.Contains("Time to notice a dead endpoint", titles);
        Assert.Contains("closed form, 35.0 s", await report.Page.Locator(".picture text").AllTextContentsAsync());
        await report.PictureAsync($"run-dead-{scheme}");
        Assert.Empty(await report.FaintAsync());
        Assert.Empty(await report.OverlapsAsync());
        report.IsQuiet();
    }

    [Theory]
    [InlineData(ColorScheme.Light, "rgb(226, 243, 236)")]
    [InlineData(ColorScheme.Dark, "rgb(20, 51, 42)")]
    public async Task Sweep_EachScheme_ShadesTheSafeRegion(ColorScheme scheme, string shade)
    {
        await using var report = await chromium.OpenAsync(s_sweep.Value, scheme);

        Assert.Equal(["network.loss=0", "network.loss=5%", "network.loss=20%", "network.loss=40%"], (await report.Page.Locator(".charts.small h3").AllInnerTextsAsync()));
        var first = report.Pictures.First;
        Assert.Equal(["safe"], (await first.Locator("text").AllTextContentsAsync()).Where(text => text == "safe"));
        Assert.Equal(shade, await first.Locator(".f-safe").First.EvaluateAsync<string>("one => getComputedStyle(one).fill"));
        Assert.Matches(@"points are safe\. Of these, keepalive\.time=\d+s, network\.loss=", await report.Page.Locator("#verdict").InnerTextAsync());
        // Each line has its name at its end.
        Assert.Equal(4, (await report.Pictures.Nth(4).Locator("text").AllTextContentsAsync()).Count(text => text.StartsWith("network.loss=", StringComparison.Ordinal)));
        await report.Page.Locator(".listing summary").ClickAsync();
        Assert.Equal(56, await report.Page.Locator(".listing tbody tr").CountAsync());
        await report.PictureAsync($"sweep-{scheme}");
        Assert.Empty(await report.FaintAsync());
        Assert.Empty(await report.OverlapsAsync());
        report.IsQuiet();
    }

    [Theory]
    [InlineData(ColorScheme.Light)]
    [InlineData(ColorScheme.Dark)]
    public async Task Discover_EachScheme_ShowsTestsAndHowTheBracketNarrows(ColorScheme scheme)
    {
        Live.Require("nginx");
        await using var report = await chromium.OpenAsync(s_discover.Value, scheme);

        Assert.Equal(["Idle times tested, and how connections answered", "How the idle timeout became known"], await report.Page.Locator(".chart h3").AllInnerTextsAsync());
        var labels = await report.Pictures.First.Locator("text").AllTextContentsAsync();
        Assert.Contains(labels, text => text.StartsWith("still known (", StringComparison.Ordinal));
        Assert.Contains(labels, text => text.StartsWith("reset (", StringComparison.Ordinal));
        Assert.Contains("at most", await report.Pictures.Nth(1).Locator("text").AllTextContentsAsync());
        Assert.Contains("reset-on-next-packet", await report.Page.Locator(".rows").First.InnerTextAsync(), StringComparison.Ordinal);
        Assert.Contains("kind: ConnectionPolicy", await report.Page.Locator("pre").InnerTextAsync(), StringComparison.Ordinal);
        // The bracket holds the balancer's 5 s.
        await report.Pictures.Nth(1).FocusAsync();
        await report.Page.Keyboard.PressAsync("End");
        Assert.Matches(@"at (least 4\.[89]|most 5\.[01])\d? s", await report.Tip.InnerTextAsync());
        await report.PictureAsync($"discover-{scheme}");
        Assert.Empty(await report.FaintAsync());
        Assert.Empty(await report.OverlapsAsync());
        report.IsQuiet();
    }

    [Fact]
    public async Task Charts_PointerAndKeys_SayTheValues()
    {
        await using var report = await chromium.OpenAsync(s_run.Value);
        var keys = report.Page.Keyboard;
        for (var i = 0; i < 20 && await report.Page.EvaluateAsync<bool>("!document.activeElement.classList.contains('picture')"); i++)
        {
            await keys.PressAsync("Tab");
        }

        Assert.StartsWith("Failed requests: 49.", await report.Page.EvaluateAsync<string>("document.activeElement.getAttribute('aria-label')"), StringComparison.Ordinal);
        await keys.PressAsync("Home");
        Assert.Matches(@"^503: \d+(\.\d+)? %\s+[\d,]+ of [\d,]+ requests\s+0 to 1 h$", await report.Tip.InnerTextAsync());
        await keys.PressAsync("End");
        Assert.Contains("23 to 24 h", await report.Tip.InnerTextAsync(), StringComparison.Ordinal);
        Assert.Contains("23 to 24 h", await report.Page.Locator("#live").TextContentAsync(), StringComparison.Ordinal);
        await report.PictureAsync("run-keys");
        await keys.PressAsync("Escape");
        Assert.False(await report.Tip.IsVisibleAsync());

        // A bar of the last chart, which is below the window's edge.
        await report.Pictures.Nth(3).ScrollIntoViewIfNeededAsync();
        var bar = await report.Pictures.Nth(3).Locator(".f-series1").First.BoundingBoxAsync();
        await report.Page.Mouse.MoveAsync(bar!.X + (bar.Width / 2), bar.Y + 2);
        Assert.Matches(@"^[\d,]+ connections\s+\d+( to \d+)? failed requests each\s+[\d.]+ % of all$", await report.Tip.InnerTextAsync());
        await report.Page.Mouse.MoveAsync(2, 2);
        Assert.False(await report.Tip.IsVisibleAsync());
        report.IsQuiet();
    }

    /// <summary>Regression: a section with one chart drew it larger than its neighbours.</summary>
    [Theory]
    [InlineData(1400)]
    [InlineData(1000)]
    [InlineData(390)]
    public async Task Charts_OfAllSections_HaveOneScale(int width)
    {
        foreach (var file in new[] { s_run.Value, s_dead.Value })
        {
            await using var report = await chromium.OpenAsync(file, width: width);
            var widths = await report.Page.Locator(".charts:not(.small) .picture svg").EvaluateAllAsync<double[]>("all => all.map(one => one.getBoundingClientRect().width)");
            Assert.InRange(widths.Length, 2, 20);
            Assert.All(widths, one => Assert.Equal(widths[0], one, 1.0));
        }
    }

    [Fact]
    public async Task Charts_PhoneAndPaper_FitTheirWidth()
    {
        foreach (var (name, file) in new[] { ("run", s_run.Value), ("sweep", s_sweep.Value) })
        {
            await using var phone = await chromium.OpenAsync(file, width: 390, height: 800);
            Assert.Equal(390, await phone.Page.EvaluateAsync<int>("document.documentElement.scrollWidth"));
            // Letters are as high as they can be read.
            Assert.True(await phone.Page.EvaluateAsync<double>("Math.min(...[...document.querySelectorAll('.picture text')].map(one => one.getBoundingClientRect().height))") >= 8);
            await phone.PictureAsync($"{name}-phone");
            Assert.Empty(await phone.OverlapsAsync());
            phone.IsQuiet();

            await using var paper = await chromium.OpenAsync(file, ColorScheme.Dark, width: 1000);
            var pdf = await paper.Page.PdfAsync(new() { Path = Path.Combine(Chromium.Pictures, $"{name}.pdf"), Format = "A4", PrintBackground = true });
            Assert.InRange(pdf.Length, 10_000, 2_000_000);
            await paper.Page.EmulateMediaAsync(new() { Media = Media.Print });
            Assert.Equal("rgb(255, 255, 255)", await paper.Page.EvaluateAsync<string>("getComputedStyle(document.documentElement).backgroundColor"));
            Assert.Equal("rgb(0, 114, 178)", await paper.Page.Locator(".s-series1").First.EvaluateAsync<string>("one => getComputedStyle(one).stroke"));
            await paper.PictureAsync($"{name}-paper");
            Assert.Empty(await paper.FaintAsync());
            // Regression: the safe region was white, letters of charts were larger than those of the page, and a section had only a heading.
            Assert.DoesNotContain("rgb(255, 255, 255)", await paper.Page.Locator(".f-safe").EvaluateAllAsync<string[]>("all => all.map(one => getComputedStyle(one).fill)"));
            Assert.All(await paper.Page.Locator(".picture svg").EvaluateAllAsync<double[]>("all => all.map(one => one.getBoundingClientRect().width / one.viewBox.baseVal.width)"), scale => Assert.InRange(scale, 0.6, 1));
            Assert.Empty(await paper.Page.Locator(".part").EvaluateAllAsync<string[]>("all => all.filter(one => one.offsetHeight > 0 && one.innerText.trim() === one.querySelector('h2').innerText.trim()).map(one => one.innerText)"));
            paper.IsQuiet();
        }
    }

    [Fact]
    public async Task Run_ScenarioNamedScript_IsTextAndNothingRuns()
    {
        var scenario = Path.Combine(_directory, Hostile);
        await File.WriteAllTextAsync(scenario, "balancer: aws-nlb\nconnections: 20\nduration: 4h\nrequests: {arrival: poisson, mean: 400s}\n", TestContext.Current.CancellationToken);
        var (run, sweep) = (Path.Combine(_directory, "hostile-run.html"), Path.Combine(_directory, "hostile-sweep.html"));
        Make(run, "run", scenario);
        Make(sweep, "sweep", scenario, "--set", "keepalive.time=100s,200s");
        foreach (var file in new[] { run, sweep })
        {
            await using var report = await chromium.OpenAsync(file);
            Assert.EndsWith(Hostile, await report.Page.Locator("h1").TextContentAsync(), StringComparison.Ordinal);
            Assert.Equal(2, await report.Page.Locator("script").CountAsync());
            await report.PictureAsync(Path.GetFileNameWithoutExtension(file));
            report.IsQuiet();
        }
    }

    private static string Made(string name, params string[] arguments)
    {
        var file = Path.Combine(Chromium.Pictures, name);
        Make(file, arguments);
        return file;
    }

    private static void Make(string file, params string[] arguments)
    {
        var result = ProgramRun.ToEnd([ProgramRun.SimulatorPath, .. arguments, "--report", file], timeout: s_patience);
        Assert.True(result.ExitCode == 0, result.Output + result.Error);
        Assert.InRange(new FileInfo(file).Length, 20_000, 500_000);
    }
}
