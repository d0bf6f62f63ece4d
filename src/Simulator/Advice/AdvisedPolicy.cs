using Keepalive.Config;

namespace Keepalive.Simulator.Advice;

/// <summary>Writes a policy, and the destination it is for.</summary>
internal static class AdvisedPolicy
{
    /// <summary>Of the block for documentation (RFC 5737).</summary>
    public const string PlaceholderAddress = "203.0.113.10";

    /// <summary>The YAML.</summary>
    /// <param name="name">The name of the policy and of its destination.</param>
    /// <param name="settings">All three values.</param>
    /// <param name="address">The balancer's address, block or host name; null for one to be put in.</param>
    public static string Write(string name, KeepaliveSettings settings, string? address) => Write(name, settings, address is null ? [] : [address]);

    /// <summary>The same for several addresses.</summary>
    public static string Write(string name, KeepaliveSettings settings, IReadOnlyCollection<string> addresses) => $"""
        apiVersion: resilience.policy.gloo.solo.io/v2
        kind: ConnectionPolicy
        metadata:
          name: {name}-keepalive
          namespace: default
        spec:
          applyToDestinations:
          - kind: EXTERNAL_SERVICE
            selector:
              name: {name}
              namespace: default
          config:
            tcp:
              tcpKeepalive:
                time: {settings.Time}s
                interval: {settings.Interval}s
                probes: {settings.Probes}
        ---
        apiVersion: networking.gloo.solo.io/v2
        kind: ExternalService
        metadata:
          name: {name}
          namespace: default
        spec:
          {(addresses.Any(HostName.IsValid) ? "hosts" : "addresses")}:
          {(addresses.Count == 0 ? $"- \"{PlaceholderAddress}\"   # put the balancer's addresses here, or its name below hosts:" : string.Join("\n  ", addresses.Select(address => $"- \"{address}\"")))}

        """;
}
