namespace Keepalive.Benchmarks;

/// <summary>A clock that only moves when told to: what a pass does because of the time is measured when it is meant to be.</summary>
internal sealed class StillClock : TimeProvider
{
    private long _now = 1;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => _now;

    public void Advance(TimeSpan by) => _now += by.Ticks;
}
