using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Keepalive.Testbed;

/// <summary>Waits for a condition in real time, between two bounds. A wait ends early when a program of the test has ended.</summary>
internal static class Eventually
{
    private static readonly TimeSpan s_firstPoll = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan s_maxPoll = TimeSpan.FromMilliseconds(20);

    /// <summary>Waits until <paramref name="condition"/> holds. It must not hold before <paramref name="notBefore"/>.</summary>
    /// <returns>How long it took.</returns>
    public static TimeSpan True(
        Func<bool> condition, TimeSpan notAfter, TimeSpan notBefore = default, [CallerArgumentExpression(nameof(condition))] string what = "")
    {
        var (_, elapsed) = Value(() => condition(), value => value, notAfter, notBefore, what);
        return elapsed;
    }

    /// <summary>Reads until a value is as expected. It must not be so before <paramref name="notBefore"/>.</summary>
    public static (T Value, TimeSpan Elapsed) Value<T>(
        Func<T> read, Func<T, bool> wanted, TimeSpan notAfter, TimeSpan notBefore = default, [CallerArgumentExpression(nameof(wanted))] string what = "")
    {
        var clock = Stopwatch.StartNew();
        for (var poll = s_firstPoll; ; poll = Longer(poll))
        {
            // A program that has ended before the reading can change nothing any more.
            var ended = StartedPrograms.EndedUnasked();
            // The clock is read first for the late bound and last for the early one: a slow reading must not make either tighter.
            var began = clock.Elapsed;
            T value = read();
            if (wanted(value))
            {
                return clock.Elapsed >= notBefore
                    ? (value, clock.Elapsed)
                    : throw new TimeoutException($"already after {clock.Elapsed.TotalSeconds:0.000} s, not before {notBefore.TotalSeconds} s: {what}; value {value}");
            }

            if (ended is not null)
            {
                throw new TimeoutException(ended.Report($"ended with exit code {ended.ExitCode} while the test waited for: {what}; last value {value}"));
            }

            if (began > notAfter)
            {
                throw new TimeoutException($"not within {notAfter.TotalSeconds} s: {what}; last value {value}{StartedPrograms.Tails()}");
            }

            Thread.Sleep(poll);
        }
    }

    /// <summary>Checks that <paramref name="condition"/> holds the whole time.</summary>
    public static void Remains(Func<bool> condition, TimeSpan duration, [CallerArgumentExpression(nameof(condition))] string what = "")
    {
        var clock = Stopwatch.StartNew();
        do
        {
            if (!condition())
            {
                throw new TimeoutException($"no longer after {clock.Elapsed.TotalSeconds:0.000} s: {what}{StartedPrograms.Tails()}");
            }

            // Nothing changes any more after the programs have ended.
            if (StartedPrograms.EndedUnasked() is { } ended)
            {
                throw new TimeoutException(ended.Report($"ended with exit code {ended.ExitCode} while the test watched that: {what}"));
            }

            Thread.Sleep(s_maxPoll);
        }
        while (clock.Elapsed < duration);
    }

    private static TimeSpan Longer(TimeSpan poll) => poll * 2 < s_maxPoll ? poll * 2 : s_maxPoll;
}
