using System.Diagnostics;
using Keepalive.Testbed;

namespace Keepalive.Benchmarks;

/// <summary>Measures with ss how long new connections stay without keepalive.</summary>
/// <remarks>From the last look that did not show the connection to the first look that showed it set. The real latency is never
/// longer.</remarks>
internal sealed class ArrivalLatencies(Holder holder, string address)
{
    private readonly Dictionary<ulong, long> _unset = [];
    private readonly HashSet<ulong> _known = [];
    private long _lookedAt;

    /// <summary>In seconds.</summary>
    public Series Latencies { get; } = new();

    /// <summary>Connections that were closed before they were set, or set between two looks.</summary>
    public int Missed { get; private set; }

    public void Look()
    {
        var first = _lookedAt == 0;
        var before = _lookedAt;
        _lookedAt = Stopwatch.GetTimestamp();
        var gone = _unset.Keys.ToHashSet();
        foreach (var socket in holder.Run("ss", "-tnoeH", "state", "established", "dst", address).Lines.Select(Parse))
        {
            gone.Remove(socket.Cookie);
            if (_known.Add(socket.Cookie) && !first)
            {
                _unset.Add(socket.Cookie, before);
            }
            if (socket.Timer == "keepalive" && _unset.Remove(socket.Cookie, out var since))
            {
                Latencies.Add(Stopwatch.GetElapsedTime(since).TotalSeconds);
            }
        }
        foreach (var cookie in gone)
        {
            _unset.Remove(cookie);
            Missed++;
        }
    }

    // With a state filter ss omits the state column.
    private static SsSocket Parse(string line) => Ss.Parse("ESTAB " + line);
}
