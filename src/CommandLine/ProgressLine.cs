using System.Globalization;

namespace Keepalive.CommandLine;

/// <summary>A line on a terminal that says how far long work is; nothing where standard error is no terminal.</summary>
public sealed class ProgressLine(string what) : IDisposable
{
    private static readonly TimeSpan s_every = TimeSpan.FromMilliseconds(200);

    private readonly long _began = TimeProvider.System.GetTimestamp();
    private readonly Lock _lock = new();
    private TimeSpan _shown;

    /// <summary>Shows a part, 0..1, now and then.</summary>
    public void Show(double part)
    {
        if (Console.IsErrorRedirected)
        {
            return;
        }
        lock (_lock)
        {
            var elapsed = TimeProvider.System.GetElapsedTime(_began);
            if (elapsed - _shown < s_every || part <= 0)
            {
                return;
            }
            _shown = elapsed;
            var left = elapsed * ((1 / part) - 1);
            Console.Error.Write(string.Create(CultureInfo.InvariantCulture, $"\r{what}: {100 * part:0} %, {left.TotalSeconds:0} s left \e[K"));
        }
    }

    /// <summary>Shows a text now and then.</summary>
    public void Say(Func<string> text)
    {
        if (Console.IsErrorRedirected)
        {
            return;
        }
        lock (_lock)
        {
            var elapsed = TimeProvider.System.GetElapsedTime(_began);
            if (elapsed - _shown >= s_every)
            {
                _shown = elapsed;
                Console.Error.Write($"\r{what}: {text()} \e[K");
            }
        }
    }

    /// <summary>Takes the line away.</summary>
    public void Dispose()
    {
        if (_shown > TimeSpan.Zero)
        {
            Console.Error.Write("\r\e[K");
        }
    }
}
