using System.Diagnostics;
using System.Globalization;

namespace Keepalive.Simulator.Demo;

/// <summary>The demo's client: an HTTP request for each line it reads. Sets no keepalive.</summary>
internal static class WebClient
{
    public const string Path = "/recommendations";

    /// <summary>Answers each line with <c>STATUS MILLISECONDS BODY</c>; the status is 0 when there was no answer.</summary>
    public static async Task<int> RunAsync(TextReader orders, TextWriter answers)
    {
        using var client = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{SidecarProxy.Port}"), Timeout = TimeSpan.FromSeconds(30) };
        while (await orders.ReadLineAsync().ConfigureAwait(false) is not null)
        {
            var clock = Stopwatch.StartNew();
            string answer;
            try
            {
                using var response = await client.GetAsync(new Uri(Path, UriKind.Relative)).ConfigureAwait(false);
                var body = await response.Content.ReadAsStringAsync().ConfigureAwait(false);
                answer = string.Create(CultureInfo.InvariantCulture, $"{(int)response.StatusCode} {clock.ElapsedMilliseconds} {body}");
            }
            catch (Exception e) when (e is HttpRequestException or TaskCanceledException)
            {
                answer = string.Create(CultureInfo.InvariantCulture, $"0 {clock.ElapsedMilliseconds} {e.Message}");
            }
            await answers.WriteLineAsync(answer).ConfigureAwait(false);
        }
        return ExitCodes.Done;
    }
}
