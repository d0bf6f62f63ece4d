namespace Keepalive.Agent.Liveness;

/// <summary>Time that goes on evenly: nanoseconds since 1970 as the machine's clock had it at the start, and what has passed since.</summary>
/// <remarks>
/// The kernel stamps captured packets by the machine's clock (CLOCK_REALTIME), which can be set at any moment, by hours: to one that reckoned
/// with it, every probe then seems to have been without an answer for as long. Used under the monitor's lock, except <see cref="ToWall"/>.
/// </remarks>
internal sealed class SteadyClock
{
    private const long Millisecond = 1_000_000;

    /// <summary>By how much the two clocks must differ from before to say that one was set: reading them is not exact.</summary>
    private const long Least = 10 * Millisecond;

    /// <summary>How long packets stamped before the clock was set may still wait to be read.</summary>
    private const long Waiting = 10_000 * Millisecond;

    private readonly TimeProvider _time;
    private readonly long _began;
    private readonly long _base;
    private long _ahead;
    private long _before;
    private long _seen;
    private long _set = long.MinValue / 2;

    public SteadyClock(TimeProvider time)
    {
        (_time, _began) = (time, time.GetTimestamp());
        _base = Wall;
        _seen = _base;
    }

    public long Now => _base + (_time.GetElapsedTime(_began).Ticks * 100);

    private long Wall => (_time.GetUtcNow() - DateTimeOffset.UnixEpoch).Ticks * 100;

    /// <summary>Sees whether the machine's clock was set since the last look. Before times of packets are asked for.</summary>
    public bool Look()
    {
        var before = Now;
        var wall = Wall;
        _seen = Now;
        if (_seen - before >= Least / 2 || Math.Abs(wall - _seen - _ahead) < Least)
        {
            return false;
        }
        _before = _ahead;
        _set = _seen;
        Volatile.Write(ref _ahead, wall - _seen);
        return true;
    }

    /// <summary>When a packet was captured, by the stamp it has.</summary>
    public long FromWall(long stamp)
    {
        var time = stamp - _ahead;
        if (_seen - _set < Waiting)
        {
            // Stamped before or after: nothing is captured in the future, and little waits for long.
            var other = stamp - _before;
            var now = Now;
            time = time > now || (other <= now && other > time) ? other : time;
            time = Math.Min(time, now);
        }
        return time;
    }

    /// <summary>A time in the past as the machine's clock has it now. Any thread may ask.</summary>
    public long ToWall(long time) => time + Volatile.Read(ref _ahead);
}
