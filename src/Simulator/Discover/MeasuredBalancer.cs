using System.Globalization;
using Keepalive.Config.Balancers;

namespace Keepalive.Simulator.Discover;

/// <summary>Writes a measured balancer as a file that <c>--balancer</c> takes.</summary>
internal static class MeasuredBalancer
{
    /// <summary>The YAML. The timeout is the shortest that agrees with the measurement: a policy for it keeps connections in any case.</summary>
    public static string Write(string name, DiscoveryVerdict verdict)
    {
        var measured = verdict.Measured;
        var behaviour = verdict.Behaviour;
        return string.Create(CultureInfo.InvariantCulture, $"""
            # Measured at {measured.Request.Remote} by keepalive-sim discover.
            name: {name}
            idleTimeout: {measured.Timeout.From.TotalMilliseconds:0}ms   # at most {measured.Timeout.To!.Value.TotalMilliseconds:0}ms
            expiry: {behaviour.ExpiryName}{Others(measured.Classes.Select(IdleBehaviour.NameOf))}
            refresh: {behaviour.RefreshName}{Others(measured.Refreshes.Select(IdleBehaviour.NameOf))}

            """);
    }

    private static string Others(IEnumerable<string> names) => names.Skip(1).ToList() is { Count: > 0 } others ? $"   # or {string.Join(", ", others)}" : "";
}
