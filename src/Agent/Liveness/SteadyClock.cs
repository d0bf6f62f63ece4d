namespace Keepalive.Agent.Liveness;

/// <summary>A clock that never jumps. Its time is the machine's time at the start, in nanoseconds since 1970, plus the time elapsed
/// since.</summary>
/// <remarks>
/// The kernel stamps captured packets with the machine's clock (CLOCK_REALTIME). That clock can be set at any moment, by hours. With its
/// times, every probe would then seem unanswered for as long. Used under the monitor's lock, except <see cref="ToWall"/>.
/// </remarks>
internal sealed class SteadyClock
{
    private const long Millisecond = 1_000_000;

    /// <summary>The least change of the difference between the two clocks that counts as a set clock. Reading them is not exact.</summary>
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

    /// <summary>Checks whether the machine's clock was set since the last check. Call it before converting times of packets.</summary>
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

    /// <summary>Converts the stamp of a packet to this clock.</summary>
    public long FromWall(long stamp)
    {
        var time = stamp - _ahead;
        if (_seen - _set < Waiting)
        {
            // The stamp is from before or after the clock was set. No capture is in the future, and few packets wait long: choose the
            // latest time that is not in the future.
            var other = stamp - _before;
            var now = Now;
            time = time > now || (other <= now && other > time) ? other : time;
            time = Math.Min(time, now);
        }
        return time;
    }

    /// <summary>Converts a past time to the machine's clock as it is set now. Any thread may call it.</summary>
    public long ToWall(long time) => time + Volatile.Read(ref _ahead);
}
