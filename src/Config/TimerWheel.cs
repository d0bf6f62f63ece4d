using System.Collections.Immutable;
using System.Globalization;

namespace Keepalive.Config;

/// <summary>The kernel's timer wheel, where keepalive timers wait: they never fire early, and the longer they wait the later they may.</summary>
/// <remarks>
/// <para>
/// Each level has 64 slots of one granule; a granule is 8 times that of the level below, and the lowest is one jiffy. A timer goes into the
/// lowest level that reaches far enough, and its expiry is rounded up to the level's next whole granule: late by more than nothing and by
/// at most one granule, which is at most 8/63 (12.7 %) of a wait of 63 jiffies or more.
/// </para>
/// <para>
/// From LVL_CLK_SHIFT, LVL_SIZE, LVL_START and calc_index in the kernel's kernel/time/timer.c (since 4.8). The longest wait the wheel
/// takes is some days, beyond any keepalive value.
/// </para>
/// </remarks>
public readonly record struct TimerWheel
{
    /// <summary>Jiffies a second where nothing else is known: the default of the kernel's own configuration.</summary>
    public const int DefaultHz = 250;

    /// <summary>The choices of kernel/Kconfig.hz: distributions build their kernels with one of these.</summary>
    public static ImmutableArray<int> CommonHz { get; } = [100, 250, 300, 1000];

    /// <summary>The smallest and the largest CONFIG_HZ of any architecture.</summary>
    private const int MinHz = 24, MaxHz = 1200;

    /// <summary>LVL_CLK_SHIFT: a level's granule is 2^3 of the one below.</summary>
    private const int LevelShift = 3;

    /// <summary>LVL_SIZE - 1: slots of a level that can be reached from anywhere within a granule.</summary>
    private const long ReachableSlots = 64 - 1;

    private readonly int _hz;

    /// <summary>The wheel of a kernel with <paramref name="hz"/> jiffies a second.</summary>
    /// <param name="hz">CONFIG_HZ, 24..1200; usually 100, 250, 300 or 1000.</param>
    public TimerWheel(int hz)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(hz, MinHz);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(hz, MaxHz);
        _hz = hz;
    }

    /// <summary>Jiffies a second.</summary>
    public int Hz => _hz == 0 ? DefaultHz : _hz;

    /// <summary>The most a wait can end late.</summary>
    /// <param name="wait">Seconds.</param>
    public TimeSpan Granule(int wait) => ToTime(GranuleOf(ToJiffies(wait)));

    /// <summary>The most a wait can last.</summary>
    /// <param name="wait">Seconds.</param>
    public TimeSpan Longest(int wait) => ToTime(LongestOf(ToJiffies(wait)));

    /// <summary>The jiffy in which a timer fires.</summary>
    /// <param name="now">The jiffy in which it is armed.</param>
    /// <param name="wait">Jiffies from now, at least 0.</param>
    public static long Fires(long now, long wait)
    {
        var granule = GranuleOf(wait);
        return ((now + wait) / granule + 1) * granule;
    }

    /// <summary>The granule of the level that a wait is put in, jiffies.</summary>
    /// <param name="wait">Jiffies, at least 0.</param>
    public static long GranuleOf(long wait)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(wait);
        long granule = 1;
        while (wait >= ReachableSlots * granule)
        {
            granule <<= LevelShift;
        }

        return granule;
    }

    /// <summary>The most a wait can last, jiffies.</summary>
    /// <param name="wait">Jiffies, at least 0.</param>
    public static long LongestOf(long wait) => wait + GranuleOf(wait);

    /// <summary>Whole seconds in jiffies, exactly.</summary>
    public long ToJiffies(int seconds) => (long)seconds * Hz;

    /// <summary>Jiffies as time; a part of 100 ns counts as a whole.</summary>
    public TimeSpan ToTime(long jiffies)
    {
        // The seconds apart: jiffies of some years, times ten million, are beyond 63 bits.
        var (seconds, left) = Math.DivRem(jiffies, Hz);
        var (ticks, rest) = Math.DivRem(left * TimeSpan.TicksPerSecond, Hz);
        return new TimeSpan((seconds * TimeSpan.TicksPerSecond) + ticks + (rest > 0 ? 1 : 0));
    }

    /// <summary><c>HZ=250</c>.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"HZ={Hz}");
}
