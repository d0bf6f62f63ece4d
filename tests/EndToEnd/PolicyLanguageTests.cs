using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>Resources that the guide does not use, from file to socket.</summary>
public sealed class PolicyLanguageTests : IDisposable
{
    private static readonly KeepaliveValues s_untouched = new(false, 7200, 75, 9);
    private static readonly KeepaliveValues s_set = new(true, 60, 10, 6);

    private readonly Lab _lab;

    public PolicyLanguageTests()
    {
        Live.Require();
        _lab = new Lab();
    }

    [Fact]
    public void Once_ServiceWithEndpointSlices_SetsConnectionsToClusterIpAndPods()
    {
        const string clusterIp = "10.96.0.10";
        _lab.AddServerAddress(clusterIp);
        var (service, pods, other) = (_lab.Server.Listen(), _lab.Server.Listen(), _lab.Server.Listen());
        using var agent = new AgentProcess(_lab.Client);
        agent.WritePolicy($$$"""
            apiVersion: resilience.policy.gloo.solo.io/v2
            kind: ConnectionPolicy
            metadata: {name: p, namespace: shop}
            spec:
              applyToDestinations: [{selector: {labels: {app: web} } }]
              config: {tcp: {tcpKeepalive: {time: 60s, interval: 10s, probes: 6} } }
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: web, namespace: shop, labels: {app: web}}
            spec: {clusterIP: {{{clusterIp}}}, ports: [{name: http, port: {{{service}}} }]}
            ---
            apiVersion: discovery.k8s.io/v1
            kind: EndpointSlice
            metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
            endpoints: [{addresses: ["{{{Lab.ServerAddress}}}", "{{{Lab.ServerAddress6}}}"]}]
            ports: [{name: http, port: {{{pods}}} }]
            """);
        int[] selected =
        [
            _lab.Client.Connect(clusterIp, service), _lab.Client.Connect(Lab.ServerAddress, pods), _lab.Client.Connect(Lab.ServerAddress6, pods),
            _lab.Client.Connect(Lab.ServerAddressMapped, pods),
        ];
        int[] others = [_lab.Client.Connect(Lab.ServerAddress, service), _lab.Client.Connect(clusterIp, other), _lab.Client.Connect(clusterIp, pods)];

        Assert.Contains("4 set", agent.Once().Output, StringComparison.Ordinal);
        Assert.All(selected, id => Assert.Equal(s_set, _lab.Client.Get(id)));
        Assert.All(others, id => Assert.Equal(s_untouched, _lab.Client.Get(id)));
    }

    [Fact]
    public void Once_ListenerPolicy_SetsAcceptedConnectionsWithBothSidesOnly()
    {
        var (port, other) = (_lab.Server.Listen(), _lab.Server.Listen());
        using var agent = new AgentProcess(_lab.Server);
        agent.WritePolicy($$$"""
            apiVersion: resilience.policy.gloo.solo.io/v2
            kind: ListenerConnectionPolicy
            metadata: {name: accepted, namespace: gateways}
            spec:
              config: {tcpKeepalive: {time: 60s, interval: 10s, probes: 6}}
            ---
            apiVersion: networking.gloo.solo.io/v2
            kind: VirtualGateway
            metadata: {name: gw, namespace: gateways, annotations: {keepalive-agent/addresses: {{{Lab.ServerAddress}}} } }
            spec: {listeners: [{http: {}, port: {number: {{{port}}} } }]}
            """);
        _lab.Client.Connect(Lab.ServerAddress, port);
        _lab.Client.Connect(Lab.ServerAddress, other);

        agent.Once();
        Assert.Equal(s_untouched, _lab.Server.Get(SocketId.Accepted(0)));
        Assert.Contains("1 set", agent.Once("--side", "both").Output, StringComparison.Ordinal);
        Assert.Equal(s_set, _lab.Server.Get(SocketId.Accepted(0)));
        Assert.Equal(s_untouched, _lab.Server.Get(SocketId.Accepted(1)));
    }

    [Fact]
    public void Once_DestinationRule_SetsWhatItSaysForEachPort()
    {
        var (first, second, third) = (_lab.Server.Listen(), _lab.Server.Listen(), _lab.Server.Listen());
        using var agent = new AgentProcess(_lab.Client);
        agent.WritePolicy($$$"""
            apiVersion: networking.istio.io/v1
            kind: DestinationRule
            metadata: {name: rule, namespace: shop}
            spec:
              host: web
              trafficPolicy:
                connectionPool: {tcp: {tcpKeepalive: {time: 60s, interval: 10s, probes: 6} } }
                portLevelSettings:
                - {port: {number: {{{second}}} }, connectionPool: {tcp: {tcpKeepalive: {time: 90s} } } }
                - {port: {number: {{{third}}} }, connectionPool: {tcp: {maxConnections: 1} } }
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: web, namespace: shop}
            spec:
              clusterIP: {{{Lab.ServerAddress}}}
              ports: [{name: a, port: {{{first}}} }, {name: b, port: {{{second}}} }, {name: c, port: {{{third}}} }]
            """);
        int[] ids = [.. new[] { first, second, third }.Select(port => _lab.Client.Connect(Lab.ServerAddress, port))];
        agent.Once();
        Assert.Equal([s_set, new KeepaliveValues(true, 90, 75, 9), s_untouched], ids.Select(id => _lab.Client.Get(id)));
    }

    public void Dispose() => _lab.Dispose();
}
