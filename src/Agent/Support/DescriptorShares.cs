using Keepalive.Linux.Files;

namespace Keepalive.Agent.Support;

/// <summary>What the file descriptors of this process are for: however many a tenant makes the agent want of one thing, there are some left for each other.</summary>
/// <param name="Connections">To all listeners together.</param>
/// <param name="Captures">Interfaces that are captured on.</param>
/// <param name="Namespaces">Network namespaces that are held.</param>
internal sealed record DescriptorShares(int Connections, int Captures, int Namespaces)
{
    /// <summary>Descriptors that one namespace takes: its sock_diag socket and its counters.</summary>
    private const int OfNamespace = 2;

    /// <summary>What the service opens after its start: maps and programs, listeners, watched files, the cluster's API.</summary>
    private const int Service = 64;

    /// <summary>Those of this process, from what it has open now.</summary>
    public static DescriptorShares Measure() => Of(DescriptorLimit.Current, DescriptorLimit.Open());

    /// <param name="limit">How many there may be.</param>
    /// <param name="open">How many are open before any of these.</param>
    public static DescriptorShares Of(ulong limit, int open)
    {
        var left = (int)Math.Clamp((long)Math.Min(limit, int.MaxValue) - DescriptorLimit.Reserve - Service - open, 0, int.MaxValue);
        var connections = Math.Clamp(left / 4, 16, 4096);
        var captures = Math.Clamp(left / 4, 8, 512);
        return new DescriptorShares(connections, captures, Math.Max((left - connections - captures) / OfNamespace, 8));
    }
}
