using System.Globalization;
using Keepalive.Config.Balancers;

namespace Keepalive.Simulator.Discover;

/// <summary>Writes a measured balancer as a file that <c>--balancer</c> takes.</summary>
internal static class MeasuredBalancer
{
    /// <summary>The YAML. The timeout is the shortest that agrees with the measurement: a policy for it keeps connections in any case.</summary>
    /// <param name="name">The balancer's name.</param>
    /// <param name="verdict">The measurement.</param>
    /// <param name="all">Those of all addresses. The others are a comment.</param>
    public static string Write(string name, DiscoveryVerdict verdict, IEnumerable<DiscoveryVerdict> all)
    {
        var measured = verdict.Measured;
        var behaviour = verdict.Behaviour;
        return string.Create(CultureInfo.InvariantCulture, $"""
            # Measured at {measured.Request.Remote} by keepalive-sim discover.
            {string.Concat(all.Where(other => other != verdict).Select(other => $"# {other.Measured.Request.Remote}: {Timeout(other.Measured)}\n"))}name: {name}
            idleTimeout: {measured.Timeout.From.TotalMilliseconds:0}ms   # at most {measured.Timeout.To!.Value.TotalMilliseconds:0}ms
            expiry: {behaviour.ExpiryName}{Others(measured.Classes.Select(IdleBehaviour.NameOf))}
            refresh: {behaviour.RefreshName}{Others(measured.Refreshes.Select(IdleBehaviour.NameOf))}

            """);
    }

    private static string Timeout(Measurement measured) => measured.IsMeasured
        ? string.Create(CultureInfo.InvariantCulture, $"{measured.Timeout.From.TotalMilliseconds:0}ms to {measured.Timeout.To!.Value.TotalMilliseconds:0}ms, {string.Join(" or ", measured.Classes.Select(IdleBehaviour.NameOf))}")
        : "no idle timeout was measured";

    private static string Others(IEnumerable<string> names) => names.Skip(1).ToList() is { Count: > 0 } others ? $"   # or {string.Join(", ", others)}" : "";
}
