using System.Buffers.Binary;
using System.Net;
using Keepalive.Agent.Kubernetes;
using Keepalive.Linux.Sockets;
using Keepalive.Testbed;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace Keepalive.Agent.Tests.Kubernetes;

/// <summary>Backends behind virtual addresses, from the connection tracking of the namespace that translates the addresses.</summary>
public sealed class BackendsTests
{
    private readonly FakeTimeProvider _time = new();

    [Fact]
    public void Resolve_ConnectionsToVirtualAddresses_AreTheBackendsThatTheyReach()
    {
        Live.Require("nft");
        using var router = new TranslatingRouter();
        using var backends = new Backends(router.Router.NetnsPath, _time);
        var connections = new List<ConnectionEnds>();
        foreach (var (address, port) in new[] { (TranslatingRouter.ServiceAddress, TranslatingRouter.ServicePort), (TranslatingRouter.ServiceAddress6, TranslatingRouter.ServicePort), (TranslatingRouter.Backends[1], router.Port) })
        {
            var local = router.Client.LocalEndPoint(router.Client.Connect(address, port));
            connections.Add(new ConnectionEnds(Endpoint(local.Address.ToString(), local.Port), Endpoint(address, port)));
        }
        connections.Add(new ConnectionEnds(Endpoint("10.79.1.1", 1), Endpoint(TranslatingRouter.ServiceAddress, TranslatingRouter.ServicePort)));
        var expected = Ss.Read(router.Server).ToDictionary(socket => socket.Remote.Port, socket => Endpoint(socket.Local.Address.ToString(), socket.Local.Port));

        var found = new SocketEndpoint?[connections.Count];
        backends.Resolve(connections.ToArray(), found);

        Assert.Equal([.. connections[..3].Select(connection => (SocketEndpoint?)expected[connection.Local.Port]), null], found);
        Assert.Null(backends.Trouble);
    }

    [Fact]
    public void Resolve_NamespaceThatCannotBeEntered_SaysSoAndTriesAgainLater()
    {
        Live.Require("nft");
        using var router = new TranslatingRouter();
        var path = Path.Combine(Path.GetTempPath(), $"keepalive-ns-{Environment.ProcessId}");
        File.Delete(path);
        using var backends = new Backends(path, _time);
        var local = router.Client.LocalEndPoint(router.Client.Connect(TranslatingRouter.ServiceAddress, TranslatingRouter.ServicePort));
        ConnectionEnds[] connections = [new(Endpoint(local.Address.ToString(), local.Port), Endpoint(TranslatingRouter.ServiceAddress, TranslatingRouter.ServicePort))];
        var found = new SocketEndpoint?[] { connections[0].Local };

        backends.Resolve(connections, found);
        Assert.Null(found[0]);
        Assert.Contains("ENOENT", backends.Trouble, StringComparison.Ordinal);

        File.CreateSymbolicLink(path, router.Router.NetnsPath);
        try
        {
            _time.Advance(TimeSpan.FromSeconds(59));
            backends.Resolve(connections, found);
            Assert.Null(found[0]);
            Assert.NotNull(backends.Trouble);
            _time.Advance(TimeSpan.FromSeconds(2));
            backends.Resolve(connections, found);
            Assert.NotNull(found[0]);
            Assert.Null(backends.Trouble);
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>Without connections to look up, nothing is opened and no trouble is reported.</summary>
    [Fact]
    public void Resolve_NoConnections_OpensNothing()
    {
        using var backends = new Backends("/nonexistent", _time);

        backends.Resolve([], []);

        Assert.Null(backends.Trouble);
    }

    private static SocketEndpoint Endpoint(string address, int port) =>
        new(BinaryPrimitives.ReadUInt128BigEndian(IPAddress.Parse(address).MapToIPv6().GetAddressBytes()), (ushort)port);
}
