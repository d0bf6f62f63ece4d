using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Playwright;
using Xunit;

namespace Keepalive.Browser;

/// <summary>A report in the browser.</summary>
internal sealed class OpenReport(IBrowserContext context, IPage page) : IAsyncDisposable
{
    private readonly ConcurrentQueue<string> _complaints = new();

    public IPage Page => page;

    /// <summary>From the request for the file to the drawn page.</summary>
    public TimeSpan OpenedWithin { get; private set; }

    public ILocator Pictures => page.Locator(".picture");

    public ILocator Tip => page.Locator("#tip");

    public async Task LoadAsync(string file)
    {
        var address = new Uri(file).AbsoluteUri;
        page.Console += (_, message) => _complaints.Enqueue($"console {message.Type}: {message.Text}");
        page.PageError += (_, error) => _complaints.Enqueue($"error: {error}");
        page.Dialog += (_, dialog) => _complaints.Enqueue($"dialog: {dialog.Message}");
        page.Request += (_, request) =>
        {
            if (request.Url != address)
            {
                _complaints.Enqueue($"request: {request.Url}");
            }
        };
        var clock = Stopwatch.StartNew();
        await page.GotoAsync(address);
        await page.Locator("html[data-ready]").WaitForAsync(new() { State = WaitForSelectorState.Attached });
        OpenedWithin = clock.Elapsed;
    }

    /// <summary>No error, no dialog, and no request but that for the file.</summary>
    public void IsQuiet() => Assert.Empty(_complaints);

    public Task PictureAsync(string name) => page.ScreenshotAsync(new() { Path = Path.Combine(Chromium.Pictures, $"{name}.png"), FullPage = true });

    public async ValueTask DisposeAsync() => await context.DisposeAsync();
}
