namespace Keepalive.Config;

/// <summary>Converts durations to what TCP_KEEPIDLE and TCP_KEEPINTVL take.</summary>
internal static class KernelSeconds
{
    /// <summary>Whole seconds by truncation, as Istio's pilot does it, but never 0, which the kernel refuses.</summary>
    public static long From(long nanoseconds) => Math.Max(1, nanoseconds / GoDuration.Second);
}
