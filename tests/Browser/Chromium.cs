using Keepalive.Testbed;
using Microsoft.Playwright;
using Xunit;

namespace Keepalive.Browser;

/// <summary>Debian's Chromium, without a window, for all tests.</summary>
public sealed class Chromium : IAsyncLifetime
{
    private const string Program = "/usr/bin/chromium";

    private IPlaywright? _playwright;
    private IBrowser? _browser;

    /// <summary>Where pictures of the pages are kept.</summary>
    public static string Pictures { get; } = Directory.CreateDirectory(Path.Combine(Repository.Root, "TestResults", "browser")).FullName;

    public async ValueTask InitializeAsync()
    {
        if (!File.Exists(Program))
        {
            return;
        }
        _playwright = await Playwright.CreateAsync();
        // Chromium's own sandbox refuses to work for root.
        _browser = await _playwright.Chromium.LaunchAsync(new() { ExecutablePath = Program, Args = ["--no-sandbox"] });
    }

    public async ValueTask DisposeAsync()
    {
        if (_browser is not null)
        {
            await _browser.DisposeAsync();
        }
        _playwright?.Dispose();
    }

    /// <summary>Opens a file, and notes what no report may do.</summary>
    internal async Task<OpenReport> OpenAsync(string file, ColorScheme scheme = ColorScheme.Light, int width = 1400, int height = 1000)
    {
        if (_browser is null)
        {
            Assert.NotEqual("1", Environment.GetEnvironmentVariable("KEEPALIVE_REQUIRE_LIVE"));
            Assert.Skip("chromium is not installed");
        }
        var context = await _browser.NewContextAsync(new() { ViewportSize = new() { Width = width, Height = height }, ColorScheme = scheme });
        var report = new OpenReport(context, await context.NewPageAsync());
        await report.LoadAsync(file);
        return report;
    }
}
