namespace Keepalive.Simulator.Demo;

/// <summary>The policy of the demo: the Gloo guide's values, for one destination.</summary>
internal static class DemoPolicy
{
    /// <summary>
    /// The destination has no <c>hosts</c>: the lab has no name server, and a real one must not be asked. Its annotation tells what is on
    /// the wire, as it does for the gateway of another cluster.
    /// </summary>
    public const string Text = """
        apiVersion: resilience.policy.gloo.solo.io/v2
        kind: ConnectionPolicy
        metadata:
          name: tcp-keepalive
          namespace: bookinfo
        spec:
          applyToDestinations:
          - kind: VIRTUAL_DESTINATION
            selector: {}
          config:
            tcp:
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
            keepalive-agent/addresses: "203.0.113.10:15443, [2001:db8::10]:15443"
        spec:
          services:
          - labels:
              app: ratings
          ports:
          - number: 9080
            protocol: HTTP

        """;

    /// <summary>The same with a second instead of 700, so that there are probes to be seen.</summary>
    public static string Impatient { get; } = Text.Replace("time: 700s", "time: 1s", StringComparison.Ordinal)
        .Replace("interval: 10s", "interval: 1s", StringComparison.Ordinal);
}
