using Keepalive.Linux.Files;

namespace Keepalive.Agent.Support;

/// <summary>The shares of this process's file descriptors. A tenant can make one use need many, but the other uses keep their
/// shares.</summary>
/// <param name="Connections">Connections to all listeners together.</param>
/// <param name="Captures">Interfaces that are captured on.</param>
/// <param name="Destroyed">Namespaces in which the kernel reports how sockets ended.</param>
/// <param name="Namespaces">Network namespaces that are held.</param>
internal sealed record DescriptorShares(int Connections, int Captures, int Destroyed, int Namespaces)
{
    /// <summary>Descriptors that one namespace takes: its sock_diag socket and its counters.</summary>
    private const int OfNamespace = 2;

    /// <summary>Descriptors that the service opens after its start: maps and programs, listeners, watched files, the cluster's
    /// API.</summary>
    private const int Service = 64;

    /// <summary>Returns the shares of this process, by the number of descriptors that are open now.</summary>
    public static DescriptorShares Measure() => Of(DescriptorLimit.Current, DescriptorLimit.Open());

    /// <param name="limit">The limit of descriptors.</param>
    /// <param name="open">The number of descriptors that are open before the first of these uses.</param>
    public static DescriptorShares Of(ulong limit, int open)
    {
        var left = (int)Math.Clamp((long)Math.Min(limit, int.MaxValue) - DescriptorLimit.Reserve - Service - open, 0, int.MaxValue);
        var connections = Math.Clamp(left / 4, 16, 4096);
        // Most namespaces with watched connections need one descriptor for each of the two.
        var captures = Math.Clamp(left / 8, 8, 512);
        var destroyed = Math.Clamp(left / 8, 8, 512);
        return new DescriptorShares(connections, captures, destroyed, Math.Max((left - connections - captures - destroyed) / OfNamespace, 8));
    }
}
