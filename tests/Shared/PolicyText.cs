namespace Keepalive.Testbed;

/// <summary>Policies as users write them.</summary>
internal static class PolicyText
{
    /// <summary>The values of the guide's policy, as <see cref="For"/> takes them.</summary>
    public const string GuideValues = "time: 700s, interval: 10s, probes: 20";

    /// <summary>The guide's ConnectionPolicy and VirtualDestination, with the annotation that lists the balancer's addresses.</summary>
    /// <param name="addresses">As in <c>203.0.113.10:15443, 198.51.100.0/24</c>.</param>
    public static string Guide(string addresses) =>
        $$"""
        apiVersion: resilience.policy.gloo.solo.io/v2
        kind: ConnectionPolicy
        metadata:
          name: tcp-keepalive
          namespace: bookinfo
          annotations:
            cluster.solo.io/cluster: ""
        spec:
          applyToDestinations:
          - kind: VIRTUAL_DESTINATION
            selector: {}
          config:
            tcp:
              maxConnections: 10000
              connectTimeout: 10s
              tcpKeepalive:
                probes: 20
                time: 700s
                interval: 10s
        ---
        apiVersion: networking.gloo.solo.io/v2
        kind: VirtualDestination
        metadata:
          name: ratings-global
          namespace: bookinfo
          annotations:
            keepalive-agent/addresses: "{{addresses}}"
        spec:
          hosts:
          - ratings.global
          services:
          - namespace: bookinfo
            labels:
              app: ratings
          ports:
          - number: 9080
            protocol: HTTP
        """;

    /// <summary>A policy for an ExternalService.</summary>
    /// <param name="addresses">The addresses as the items of a YAML list; CIDR too.</param>
    /// <param name="keepalive">The body of tcpKeepalive, such as <c>time: 700s, probes: 20</c>.</param>
    /// <param name="existing">The annotation of that name.</param>
    /// <param name="userTimeout">The annotation <c>user-timeout</c>.</param>
    /// <param name="from">The annotation <c>from</c>.</param>
    public static string For(string addresses, string keepalive, string? existing = null, string? userTimeout = null, string? from = null)
    {
        string annotations = string.Join(
            ", ",
            ((string Name, string? Value)[])[("existing", existing), ("user-timeout", userTimeout), ("from", from is null ? null : $"\"{from}\"")] is var given
                ? given.Where(annotation => annotation.Value is not null).Select(annotation => $"keepalive-agent/{annotation.Name}: {annotation.Value}")
                : []);
        return $$"""
            apiVersion: resilience.policy.gloo.solo.io/v2
            kind: ConnectionPolicy
            metadata:
              name: tcp-keepalive
              namespace: bookinfo
              annotations: { {{annotations}} }
            spec:
              applyToDestinations:
              - kind: EXTERNAL_SERVICE
                selector: {}
              config:
                tcp:
                  tcpKeepalive: { {{keepalive}} }
            ---
            apiVersion: networking.gloo.solo.io/v2
            kind: ExternalService
            metadata:
              name: ratings
              namespace: bookinfo
            spec:
              addresses: [{{addresses}}]
            """;
    }
}
