namespace Keepalive.Simulator.Demo;

/// <summary>The policy of the demo: as in Gloo's guide, for one destination, with times that fit the lab's balancer.</summary>
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
                probes: 5
                time: 1s
                interval: 1s
        ---
        apiVersion: networking.gloo.solo.io/v2
        kind: VirtualDestination
        metadata:
          name: recommendation-global
          namespace: bookinfo
          annotations:
            keepalive-agent/addresses: "203.0.113.10:15443"
        spec:
          services:
          - labels:
              app: recommendation
          ports:
          - number: 9080
            protocol: HTTP

        """;
}
