using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Bpf;

/// <summary>The unit of the kernel's own times.</summary>
public static unsafe class KernelClock
{
    /// <summary>CONFIG_HZ, as the resolution of the clock that moves with it tells (kernel/time/posix-timers.c, posix_get_coarse_res).</summary>
    /// <exception cref="LinuxException">clock_getres(2) failed.</exception>
    public static uint TicksPerSecond()
    {
        Time.timespec resolution;
        if (Time.clock_getres(Time.CLOCK_MONOTONIC_COARSE, &resolution) != 0)
        {
            throw LinuxException.Last("clock_getres");
        }
        return (uint)Math.Round(1e9 / resolution.tv_nsec);
    }
}
