using System.Globalization;

namespace Keepalive.CommandLine;

/// <summary>A line on a terminal that says how far long work is; nothing where standard error is no terminal.</summary>
public sealed class ProgressLine(string what) : IDisposable
{
    private static readonly TimeSpan s_every = TimeSpan.FromMilliseconds(200);

    private readonly long _began = TimeProvider.System.GetTimestamp();
    private readonly Lock _lock = new();
    private TimeSpan _shown;
    private int _length;

    /// <summary>Shows a part, 0..1, now and then.</summary>
    public void Show(double part)
    {
        if (part > 0)
        {
            Say(_ =>
            {
                var left = TimeProvider.System.GetElapsedTime(_began) * ((1 / part) - 1);
                return string.Create(CultureInfo.InvariantCulture, $"{100 * part:0} %, {left.TotalSeconds:0} s left");
            });
        }
    }

    /// <summary>Shows a text now and then.</summary>
    /// <param name="text">Makes it; told how many columns there are. A longer one is cut.</param>
    public void Say(Func<int, string> text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (Console.IsErrorRedirected)
        {
            return;
        }
        lock (_lock)
        {
            var elapsed = TimeProvider.System.GetElapsedTime(_began);
            if (elapsed - _shown < s_every)
            {
                return;
            }
            _shown = elapsed;
            var width = Console.WindowWidth;
            var line = Fit($"{what}: {text(width - 1 - what.Length - 2)}", width - 1);
            Console.Error.Write($"{Erase(_length, width)}{line}");
            _length = line.Length;
        }
    }

    /// <summary>Takes the line away.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_length > 0)
            {
                Console.Error.Write(Erase(_length, Console.WindowWidth));
                _length = 0;
            }
        }
    }

    /// <summary>Cuts a text that has more columns than there are. Characters that take two columns are not expected.</summary>
    public static string Fit(string text, int columns) => text.Length <= columns ? text : columns < 1 ? "" : $"{text[..(columns - 1)]}…";

    /// <summary>Erases a line from a terminal. A terminal that has become narrower shows it in several rows.</summary>
    /// <param name="length">The line's columns.</param>
    /// <param name="width">The terminal's columns now.</param>
    public static string Erase(int length, int width)
    {
        var rowsAbove = width > 0 && length > 0 ? (length - 1) / width : 0;
        return rowsAbove > 0 ? string.Create(CultureInfo.InvariantCulture, $"\r\e[{rowsAbove}A\e[J") : "\r\e[J";
    }
}
