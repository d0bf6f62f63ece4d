namespace Keepalive.Benchmarks;

/// <summary>A clock that moves only when the benchmark moves it, so that work due at a time happens only when it is to be
/// measured.</summary>
internal sealed class StillClock : TimeProvider
{
    private long _now = 1;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => _now;

    public void Advance(TimeSpan by) => _now += by.Ticks;
}
