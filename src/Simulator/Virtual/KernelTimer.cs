using Keepalive.Config;

namespace Keepalive.Simulator.Virtual;

/// <summary>When a timer that is set now fires: on time, or as late as the kernel's timer wheel has it.</summary>
internal readonly struct KernelTimer(int? hz)
{
    private readonly int _hz = hz ?? 0;

    public bool IsLate => _hz != 0;

    /// <summary>The instant it fires.</summary>
    /// <param name="now">Ticks.</param>
    /// <param name="wait">Ticks, whole seconds or what is left of them.</param>
    public long Fires(long now, long wait)
    {
        if (_hz == 0)
        {
            return now + wait;
        }
        // In jiffies; a wait of a part of one takes a whole.
        var jiffies = TimerWheel.Fires(Jiffies(now), Jiffies(wait + (TimeSpan.TicksPerSecond / _hz) - 1));
        return new TimerWheel(_hz).ToTime(jiffies).Ticks;
    }

    private long Jiffies(long ticks)
    {
        var (seconds, rest) = Math.DivRem(ticks, TimeSpan.TicksPerSecond);
        return (seconds * _hz) + (rest * _hz / TimeSpan.TicksPerSecond);
    }
}
