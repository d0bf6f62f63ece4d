using System.Diagnostics;
using System.Net;
using Keepalive.Linux.Namespaces;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Linux.Tests;

/// <summary>Compares the backends behind a virtual address in the router's connection tracking with the connections that the server
/// sees.</summary>
public sealed class ConntrackTests : IDisposable
{
    private readonly TranslatingRouter _router = CreateRouter();

    [Theory]
    [InlineData(TranslatingRouter.ServiceAddress)]
    [InlineData("::ffff:" + TranslatingRouter.ServiceAddress)]
    [InlineData(TranslatingRouter.ServiceAddress6)]
    public void TryFind_TranslatedConnections_HaveTheirBackends(string address)
    {
        const int count = 9;
        var (first, last) = _router.Client.ConnectMany(address, TranslatingRouter.ServicePort, count);
        var expected = Ss.Read(_router.Server).ToDictionary(socket => socket.Remote.Port, socket => Unmapped(socket.Local));
        var connections = Enumerable.Range(first, last - first + 1).Select(id => Ends(_router.Client.LocalEndPoint(id), address, TranslatingRouter.ServicePort)).ToArray();

        var found = Find(connections);

        Assert.Equal(count, connections.Length);
        Assert.Equal(connections.Select(connection => expected[connection.Local.Port]), found.Select(end => end.ToString()));
        Assert.Equal(3, found.Distinct().Count());
    }

    [Fact]
    public void TryFind_ConnectionsNotTranslated_HaveTheirOwnDestinations()
    {
        var connections = new[] { TranslatingRouter.Backends[2], TranslatingRouter.Backends6[1] }
            .Select(address => Ends(_router.Client.LocalEndPoint(_router.Client.Connect(address, _router.Port)), address, _router.Port)).ToArray();

        Assert.Equal(connections.Select(connection => (SocketEndpoint?)connection.Remote), Find(connections));
    }

    [Fact]
    public void TryFind_UnknownAmongKnown_IsNull()
    {
        int id = _router.Client.Connect(TranslatingRouter.ServiceAddress, TranslatingRouter.ServicePort);
        var known = Ends(_router.Client.LocalEndPoint(id), TranslatingRouter.ServiceAddress, TranslatingRouter.ServicePort);
        var otherPort = known with { Local = known.Local with { Port = (ushort)(known.Local.Port ^ 1) } };
        var fromTheServer = new ConnectionEnds(known.Remote, known.Local);
        var six = new ConnectionEnds(Endpoint("fd79:1::1", known.Local.Port), Endpoint(TranslatingRouter.ServiceAddress6, TranslatingRouter.ServicePort));

        var found = Find([otherPort, known, fromTheServer, six, known]);

        Assert.NotNull(found[1]);
        Assert.Equal([null, found[1], null, null, found[1]], found);
    }

    /// <summary>Both directions have the same entry. The entry does not show by which of its tuples it was found.</summary>
    [Fact]
    public void TryFind_TheBackendsOwnSocket_IsNull()
    {
        int id = _router.Client.Connect(TranslatingRouter.ServiceAddress, TranslatingRouter.ServicePort);
        var client = _router.Client.LocalEndPoint(id);
        var backend = Assert.Single(Ss.Read(_router.Server)).Local;

        Assert.Null(Assert.Single(Find([new ConnectionEnds(Endpoint(backend.Address.MapToIPv4().ToString(), backend.Port), Endpoint(client.Address.ToString(), client.Port))])));
    }

    /// <summary>The connections need more than one request, and unknown ones are between them.</summary>
    [Fact]
    public void TryFind_ThousandsAtOnce_AreAllAnsweredInTheirPlaces()
    {
        const int count = 1000;
        var (first, last) = _router.Client.ConnectMany(TranslatingRouter.ServiceAddress, TranslatingRouter.ServicePort, count);
        var expected = Ss.Read(_router.Server).ToDictionary(socket => socket.Remote.Port, socket => Unmapped(socket.Local));
        var ports = Ss.Read(_router.Client).Select(socket => socket.Local.Port).ToHashSet();
        Assert.Equal((count, count), (last - first + 1, ports.Count));
        var asked = Enumerable.Range(10_000, 55_000).Where(port => ports.Contains(port) || port % 6 == 0)
            .Select(port => new ConnectionEnds(Endpoint("10.79.1.1", port), Endpoint(TranslatingRouter.ServiceAddress, TranslatingRouter.ServicePort))).ToArray();

        var found = Find(asked);
        var (clock, before) = (Stopwatch.StartNew(), Environment.CpuUsage.TotalTime);
        var again = Find(asked);
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{asked.Length} questions, {count} known: {clock.Elapsed.TotalMicroseconds / asked.Length:0.00} µs each, {(Environment.CpuUsage.TotalTime - before).TotalMicroseconds / asked.Length:0.00} of the processor's time");
        Assert.Equal(found, again);

        Assert.Equal(asked.Select(one => expected.GetValueOrDefault(one.Local.Port)), found.Select(end => end?.ToString()));
        Assert.Equal(count, found.Count(end => end is not null));
    }

    public void Dispose() => _router.Dispose();

    private static TranslatingRouter CreateRouter()
    {
        Live.Require("nft");
        return new TranslatingRouter();
    }

    private SocketEndpoint?[] Find(ConnectionEnds[] connections)
    {
        using var conntrack = NetworkNamespace.Run(_router.Router.NetnsPath, Conntrack.Open);
        var ends = new SocketEndpoint?[connections.Length];
        Assert.Equal(0, conntrack.TryFind(connections, ends));
        return ends;
    }

    private static ConnectionEnds Ends(IPEndPoint local, string remote, int port) => new(Endpoint(local.Address.ToString(), local.Port), Endpoint(remote, port));

    private static SocketEndpoint Endpoint(string address, int port)
    {
        var bytes = IPAddress.Parse(address).MapToIPv6().GetAddressBytes();
        return new SocketEndpoint(System.Buffers.Binary.BinaryPrimitives.ReadUInt128BigEndian(bytes), (ushort)port);
    }

    private static string Unmapped(IPEndPoint end) => new IPEndPoint(end.Address.IsIPv4MappedToIPv6 ? end.Address.MapToIPv4() : end.Address, end.Port).ToString();
}
