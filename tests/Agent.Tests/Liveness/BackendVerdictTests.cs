using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Liveness;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Tests.Apply;
using Keepalive.Linux.Sockets;
using Keepalive.Testbed;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Keepalive.Agent.Tests.Liveness;

/// <summary>Verdicts about the backends of a Service. nftables translates its cluster IP, as with kube-proxy.</summary>
public sealed class BackendVerdictTests : IDisposable
{
    private static readonly SocketEndpoint s_service = Endpoint(TranslatingRouter.ServiceAddress, TranslatingRouter.ServicePort);

    private readonly TranslatingRouter _router;
    private readonly Backends _backends;
    private readonly LivenessWatch _watch;
    private readonly PolicySnapshot _policy;

    public BackendVerdictTests()
    {
        Live.Require("nft");
        _router = new TranslatingRouter();
        _backends = new Backends(_router.Router.NetnsPath, TimeProvider.System);
        _watch = new LivenessWatch(captures: true, TimeProvider.System, NullLogger.Instance, maxInterfaces: 8, maxNamespaces: 8, backends: _backends);
        _policy = Rig.Compile(string.Create(CultureInfo.InvariantCulture, $$"""
            apiVersion: networking.istio.io/v1
            kind: DestinationRule
            metadata: {name: db, namespace: shop}
            spec:
              host: db.shop.svc.cluster.local
              trafficPolicy:
                connectionPool:
                  tcp:
                    tcpKeepalive: {time: 1s, interval: 1s, probes: 2}
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: db, namespace: shop}
            spec:
              clusterIP: {{TranslatingRouter.ServiceAddress}}
              ports: [{port: {{TranslatingRouter.ServicePort}}, protocol: TCP}]
            """));
    }

    /// <summary>Regression: one dead backend took the whole Service out of the pool.</summary>
    [Theory]
    [InlineData("pidfd")]
    [InlineData("bpf")]
    public async Task Service_BackendsDieOneByOne_IsInWhileOneLives(string datapath)
    {
        _router.Client.ConnectMany(TranslatingRouter.ServiceAddress, TranslatingRouter.ServicePort, 6);
        var create = datapath == "bpf" ? Datapaths.Bpf : Datapaths.Pidfd;
        using var path = create([_router.Client.NetnsPath], [], null);
        await _watch.StartAsync(TestContext.Current.CancellationToken);
        _watch.Survey(path, _policy, default);
        Pass(path);
        Assert.Null(_backends.Trouble);
        var all = TranslatingRouter.Backends.Select(address => Endpoint(address, _router.Port)).ToList();
        Assert.Equal([true, true, true, true], all.Append(s_service).Select(IsIn));
        Assert.Equal(6, _watch.Monitor.ListEndpoints().Single(row => row.Remote == s_service).Connections);

        Cut(TranslatingRouter.Backends[1]);
        Eventually.True(() => Passed(path, () => !IsIn(all[1])), TimeSpan.FromSeconds(20));
        Assert.Equal([true, false, true, true], all.Append(s_service).Select(IsIn));
        Assert.Contains(_watch.Monitor.Standings(), standing => standing.Remote == all[1] && !standing.IsIn);
        Assert.Contains(_watch.Monitor.Standings(), standing => standing.Remote == s_service && standing.IsIn);

        Cut(TranslatingRouter.Backends[0]);
        Cut(TranslatingRouter.Backends[2]);
        Eventually.True(() => Passed(path, () => !IsIn(s_service)), TimeSpan.FromSeconds(20));
        Assert.Equal([false, false, false, false], all.Append(s_service).Select(IsIn));

        _router.Router.Run("nft", "delete", "table", "ip", "cut");
        _router.Client.ConnectMany(TranslatingRouter.ServiceAddress, TranslatingRouter.ServicePort, 1);
        Eventually.True(() => Passed(path, () => IsIn(s_service)), TimeSpan.FromSeconds(20));
        Assert.Equal(1, all.Count(IsIn));
    }

    public void Dispose()
    {
        _watch.Dispose();
        _backends.Dispose();
        _router.Dispose();
    }

    private static SocketEndpoint Endpoint(string address, int port) =>
        new(BinaryPrimitives.ReadUInt128BigEndian(IPAddress.Parse(address).MapToIPv6().GetAddressBytes()), (ushort)port);

    private bool IsIn(SocketEndpoint endpoint) => _watch.Monitor.Find(endpoint)?.IsIn ?? throw new InvalidOperationException($"{endpoint} is unknown");

    /// <summary>Drops all packets to a backend.</summary>
    private void Cut(string backend) => _router.Router.Shell(
        $"nft add table ip cut && nft 'add chain ip cut on {{ type filter hook forward priority 0; }}' && nft add rule ip cut on ip daddr {backend} drop");

    private void Pass(IDatapath path)
    {
        _watch.Doubt();
        path.Pass(_policy, new PassScope { TimersOf = _watch.Doubtful, Ask = _watch.Monitor.Questions() }, _watch.Monitor);
        _watch.Monitor.EndPass();
        _watch.Follow(_policy);
    }

    private bool Passed(IDatapath path, Func<bool> then)
    {
        Pass(path);
        return then();
    }
}
