using System.Diagnostics;
using System.Globalization;

namespace Keepalive.Agent.Reports;

/// <summary>Shows on a terminal how far a long file has been read; elsewhere it says nothing.</summary>
internal sealed class Progress(FileStream file)
{
    private static readonly TimeSpan s_first = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_period = TimeSpan.FromMilliseconds(250);

    private readonly bool _shows = !Console.IsErrorRedirected && file.CanSeek;
    private readonly long _begun = Stopwatch.GetTimestamp();
    private long _shownAt;
    private bool _isShown;

    /// <summary>Whether it is time for another look; costs a reading of the clock.</summary>
    public bool IsDue =>
        _shows && Stopwatch.GetElapsedTime(_begun) > s_first && (_shownAt == 0 || Stopwatch.GetElapsedTime(_shownAt) > s_period);

    public void Show(long packets)
    {
        _shownAt = Stopwatch.GetTimestamp();
        _isShown = true;
        var percent = 100.0 * file.Position / Math.Max(1, file.Length);
        Console.Error.Write(string.Create(CultureInfo.InvariantCulture, $"\r{packets:N0} packets, {percent:0} %\e[K"));
    }

    /// <summary>Leaves an empty line for others to write on.</summary>
    public void Clear()
    {
        if (_isShown)
        {
            _isShown = false;
            Console.Error.Write("\r\e[K");
        }
    }
}
