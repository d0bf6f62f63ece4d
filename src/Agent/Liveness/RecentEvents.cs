using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Liveness;

/// <summary>What happened to connections.</summary>
internal enum EventKind : byte
{
    /// <summary>The agent set a policy's values.</summary>
    Set,

    /// <summary>The agent restored the application's values.</summary>
    Restored,

    /// <summary>A connection ended because its other end is gone.</summary>
    Dead,
}

/// <summary>Events that are counted together.</summary>
/// <param name="Kind">What happened.</param>
/// <param name="Workload">The workload of the connections.</param>
/// <param name="Policy">Their policy.</param>
/// <param name="Destination">Their destination.</param>
internal readonly record struct EventKey(EventKind Kind, string Workload, string Policy, string Destination)
{
    /// <summary>The values before; null if none were written.</summary>
    public KeepaliveOptions? From { get; init; }

    /// <summary>The values after; null if none were written.</summary>
    public KeepaliveOptions? To { get; init; }

    /// <summary>Why the connections ended.</summary>
    public DeathCause Cause { get; init; }
}

/// <summary>Events of the same kind that happened together.</summary>
/// <param name="Key">What happened, to which connections.</param>
/// <param name="Count">The number of connections.</param>
/// <param name="Ago">The time since the last of them, in nanoseconds.</param>
internal readonly record struct EventRow(EventKey Key, int Count, long Ago);

/// <summary>The changes of the last minutes. Equal events within a short time are counted together, and their number is bounded.</summary>
/// <remarks>Used under the monitor's lock. Times are in nanoseconds.</remarks>
internal sealed class RecentEvents
{
    private const long Second = 1_000_000_000;

    /// <summary>How long an event is kept.</summary>
    public const long Kept = 600 * Second;

    /// <summary>Equal events that are no further apart are counted together.</summary>
    private const long Together = 10 * Second;

    /// <summary>The maximum number of entries.</summary>
    public const int Most = 128;

    /// <summary>The number of entries, from the newest, that are compared with a new event.</summary>
    private const int Compared = 16;

    private readonly List<(EventKey Key, int Count, long First, long Last)> _events = [];

    public void Add(in EventKey key, long now)
    {
        for (var i = _events.Count - 1; i >= Math.Max(0, _events.Count - Compared); i--)
        {
            var (known, count, first, last) = _events[i];
            if (now - first <= Together && known == key)
            {
                _events[i] = (known, count + 1, first, Math.Max(last, now));
                return;
            }
        }
        if (_events.Count == Most)
        {
            _events.RemoveAt(0);
        }
        _events.Add((key, 1, now, now));
    }

    /// <summary>Returns the events, the newest first.</summary>
    public List<EventRow> List(long now)
    {
        _events.RemoveAll(one => now - one.Last > Kept);
        return [.. _events.Select(one => new EventRow(one.Key, one.Count, Math.Max(0, now - one.Last))).Reverse()];
    }
}
