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

    /// <summary>The texts of a picture that lie on one another, or are cut by its edge.</summary>
    public Task<string[]> OverlapsAsync() => page.EvaluateAsync<string[]>("""
        [...document.querySelectorAll('.picture svg')].flatMap(svg => {
          const edge = svg.getBoundingClientRect();
          const all = [...svg.querySelectorAll('text')].map(one => ({text: one.textContent, box: one.getBoundingClientRect()})).filter(one => one.text.trim() && one.box.width > 0);
          const cut = all.filter(one => one.box.left < edge.left - 1 || one.box.right > edge.right + 1).map(one => one.text + ' is cut');
          return cut.concat(all.flatMap((one, i) => all.slice(i + 1).filter(other =>
            Math.min(one.box.right, other.box.right) - Math.max(one.box.left, other.box.left) > 1 && Math.min(one.box.bottom, other.box.bottom) - Math.max(one.box.top, other.box.top) > 3.5)
            .map(other => one.text + ' and ' + other.text)));
        })
        """);

    /// <summary>Texts that stand out too little from what is behind them: less than 4.5:1 (WCAG 2.2, 1.4.3).</summary>
    public Task<string[]> FaintAsync() => page.EvaluateAsync<string[]>("""
        (() => {
          const parts = text => text.match(/[\d.]+/g).map(Number);
          const light = text => { const [r, g, b] = parts(text).slice(0, 3).map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
          const behind = one => { for (let at = one; at; at = at.parentElement) { const paint = getComputedStyle(at).backgroundColor; if (parts(paint)[3] !== 0) { return paint; } } return 'rgb(255, 255, 255)'; };
          const own = one => [...one.childNodes].some(child => child.nodeType === Node.TEXT_NODE && child.nodeValue.trim());
          return [...document.querySelectorAll('body *')].filter(one => !one.closest('script, noscript') && own(one) && one.getClientRects().length).flatMap(one => {
            const style = getComputedStyle(one), paint = one instanceof SVGElement ? style.fill : style.color;
            const [more, less] = [light(paint), light(behind(one))].sort((a, b) => b - a), ratio = (more + .05) / (less + .05);
            return ratio < 4.5 ? [ratio.toFixed(1) + ': ' + one.textContent.slice(0, 40)] : [];
          });
        })()
        """);

    public Task PictureAsync(string name) => page.ScreenshotAsync(new() { Path = Path.Combine(Chromium.Pictures, $"{name}.png"), FullPage = true });

    public async ValueTask DisposeAsync() => await context.DisposeAsync();
}
