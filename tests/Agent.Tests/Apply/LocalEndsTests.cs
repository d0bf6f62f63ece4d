using Keepalive.Agent.Apply.Tracking;
using Keepalive.Linux.Sockets;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

/// <summary>Connections whose other end is in the same network namespace, as the sockets there show.</summary>
public sealed class LocalEndsTests
{
    private static readonly UInt128 s_pod = 0xFFFF_0A00_0005;
    private static readonly UInt128 s_loopback = 0xFFFF_7F00_0001;
    private static readonly UInt128 s_far = 0xFFFF_0A63_0001;

    private const string Pod = "pod:1";
    private const string Tenant = "uid:4711";

    private readonly LocalEnds _ends = new();
    private readonly HashSet<SocketEndpoint> _listeners = [new(s_loopback, 15001), new(s_pod, 443)];
    private readonly Dictionary<ConnectionEnds, SocketEndpoint> _translated = [];
    private int _asked;

    [Fact]
    public void IsLocal_ConnectionThatRedirectSendsToAProxy_BothEndsAre()
    {
        var application = Socket(s_pod, 40000, s_far, 443);
        var proxy = Socket(s_loopback, 15001, s_pod, 40000);
        var proxysOwn = Socket(s_pod, 50000, s_far, 443);
        for (var dump = 0; dump < 3; dump++)
        {
            // The order of the sockets does not matter.
            Dump(dump % 2 == 0 ? [application, proxy, proxysOwn] : [proxysOwn, proxy, application]);
            Assert.True(IsLocal(application));
            Assert.True(IsLocal(proxy));
            Assert.False(IsLocal(proxysOwn));
        }
        Assert.Equal(3, _asked);
    }

    /// <summary>A mesh's proxy connects from 127.0.0.6 to the application in its pod.</summary>
    [Fact]
    public void IsLocal_FromAnotherLoopbackAddress_BothEndsAre()
    {
        var proxy = Socket(s_loopback + 5, 33000, s_pod, 8080);
        var application = Socket(s_pod, 8080, s_loopback + 5, 33000);
        var accepted = Socket(s_pod, 15006, s_far, 50000);
        Dump([proxy, application, accepted]);
        Assert.True(IsLocal(proxy));
        Assert.True(IsLocal(application));
        Assert.False(IsLocal(accepted));
    }

    [Fact]
    public void IsLocal_ConnectionToItself_IsUntilItIsGone()
    {
        var (client, server) = (Socket(s_pod, 40000, s_pod + 1, 443), Socket(s_pod + 1, 443, s_pod, 40000));
        Dump([client, server]);
        Assert.True(IsLocal(client) && IsLocal(server));
        Dump([client]);
        Assert.False(IsLocal(client));
        // An address that has moved to another host.
        Dump([client, Socket(s_pod + 1, 443, s_far, 1)]);
        Assert.False(IsLocal(client));
    }

    [Fact]
    public void IsLocal_ServerOfTheSamePortElsewhere_IsNot()
    {
        var client = Socket(s_pod, 40000, s_far, 443);
        Dump([client, Socket(s_pod, 443, s_far, 40000), Socket(s_pod, 22, 0, 0)]);
        Assert.False(IsLocal(client));
    }

    /// <summary>A health check from within the pod has the server's end as its remote end, and so has every connection of the server as its
    /// own.</summary>
    [Fact]
    public void IsLocal_AcceptedFromAnotherHost_IsNotBecauseOfAConnectionWithin()
    {
        var fromFar = Socket(s_pod, 443, s_far, 50000);
        var check = Socket(s_loopback + 1, 41000, s_pod, 443);
        Dump([fromFar, check, Socket(s_pod, 443, s_loopback + 1, 41000)]);
        Assert.True(IsLocal(check));
        Assert.False(IsLocal(fromFar));
        // The server has closed its end.
        Dump([fromFar, check with { State = TcpState.CloseWait }]);
        Assert.False(IsLocal(fromFar));
    }

    /// <summary>Regression: a server had not closed its end of a connection within the pod, and the client's port was used again for another
    /// host. The new connection counted as local.</summary>
    [Theory]
    [InlineData(TcpState.CloseWait)]
    [InlineData(TcpState.LastAck)]
    [InlineData(TcpState.FinWait1)]
    [InlineData(TcpState.FinWait2)]
    [InlineData(TcpState.Closing)]
    public void IsLocal_PortOfAHalfClosedConnectionWithin_IsNot(TcpState left)
    {
        var leaked = Socket(s_pod, 443, s_pod, 41001) with { State = left };
        var again = Socket(s_pod, 41001, s_far, 9000);
        for (var dump = 0; dump < 3; dump++)
        {
            Dump([leaked, again]);
            Assert.False(IsLocal(again));
            Assert.False(IsLocal(again with { State = TcpState.SynSent }));
            Assert.True(IsLocal(leaked));
        }
    }

    /// <summary>A client that has closed its end waits for its proxy to do the same.</summary>
    [Fact]
    public void IsLocal_RedirectedConnectionThatIsHalfClosed_BothEndsAre()
    {
        var application = Socket(s_pod, 40000, s_far, 443) with { State = TcpState.FinWait2 };
        var proxy = Socket(s_loopback, 15001, s_pod, 40000) with { State = TcpState.CloseWait };
        Dump([application, proxy]);
        Assert.True(IsLocal(application));
        Assert.True(IsLocal(proxy));
    }

    /// <summary>In a network namespace of several workloads, one cannot make a connection of another look local.</summary>
    [Theory]
    [InlineData(TcpState.Established)]
    [InlineData(TcpState.CloseWait)]
    [InlineData(TcpState.SynSent)]
    public void IsLocal_PortSharedWithATenantsOwnConnection_IsNot(TcpState state)
    {
        var victim = Socket(s_pod, 40000, s_far, 443);
        var tenants = Socket(s_loopback + 1, 7777, s_pod, 40000) with { State = state };
        _listeners.Add(tenants.Local);
        Dump([victim, tenants], [Pod, Tenant]);
        Assert.False(IsLocal(victim));
        Dump([victim, tenants, Socket(s_pod, 40000, s_loopback + 1, 7777)], [Pod, Tenant, Tenant]);
        Assert.False(IsLocal(victim));
        // Within one workload it is the proxy's socket.
        Dump([victim, tenants]);
        Assert.Equal(state == TcpState.Established, IsLocal(victim));
    }

    /// <summary>Regression: on a host whose transparent proxy runs as another user, the connection counted as one that leaves.</summary>
    [Fact]
    public void IsLocal_RedirectToAProxyOfAnotherWorkload_IsWhatConnectionTrackingSays()
    {
        var application = Socket(s_pod, 40000, s_far, 443);
        var proxy = Socket(s_loopback, 15001, s_pod, 40000);
        var connection = new ConnectionEnds(application.Local, application.Remote);
        Dump([application, proxy], [Pod, Tenant]);
        Assert.False(IsLocal(application));
        _translated[connection] = application.Remote;   // not translated
        Assert.False(IsLocal(application));
        _translated[connection] = new(s_loopback, 15002);   // to another that has not accepted it
        Assert.False(IsLocal(application));
        _translated[connection] = proxy.Local;
        Assert.True(IsLocal(application));
        Dump([application]);
        Assert.False(IsLocal(application));
    }

    [Fact]
    public void End_ManyListenersOfATenant_AreNotAllAskedAndTakeNothingFromOthers()
    {
        List<SeenSocket> sockets = [];
        List<string> workloads = [];
        for (ushort port = 1; port <= 5000; port++)
        {
            sockets.Add(Socket(s_loopback + 1, port, s_pod, port));
            workloads.Add(Tenant);
        }
        var application = Socket(s_pod, 40000, s_far, 443);
        Dump([.. sockets, application, Socket(s_loopback, 15001, s_pod, 40000)], [.. workloads, Pod, Pod]);
        Assert.True(IsLocal(application));
        Assert.InRange(_asked, 1, 32);
    }

    /// <summary>Sockets that the dump shows before the first sign of a redirection were reported by then.</summary>
    [Fact]
    public void IsIncomplete_FirstRedirectedConnectionInALaterDump_IsUntilTheNext()
    {
        var idle = Socket(s_pod, 50000, s_far, 443);
        var (application, proxy) = (Socket(s_pod, 40000, s_far, 443), Socket(s_loopback, 15001, s_pod, 40000));
        Dump([idle]);
        Assert.False(_ends.IsIncomplete);
        Dump([idle]);
        Assert.Equal((false, false), (_ends.IsIncomplete, _ends.IsOpen(in application, isWanted: false)));
        Dump([idle, application, proxy]);
        Assert.Equal((true, true), (_ends.IsIncomplete, _ends.IsOpen(in application, isWanted: false)));
        Dump([idle, application, proxy]);
        Assert.False(_ends.IsIncomplete);
    }

    /// <summary>A tenant can have any number of addresses.</summary>
    [Fact]
    public void Add_HundredThousandAddresses_AreNotKept()
    {
        for (var dump = 0; dump < 3; dump++)
        {
            Dump(Enumerable.Range(0, 100_000).Select(number => Socket(s_pod + (UInt128)number, 1, s_pod + (UInt128)number, 2)));
        }
        Dump([]);
        Assert.False(IsLocal(Socket(s_pod, 2, s_far, 1)));
    }

    private bool IsLocal(SeenSocket socket) => _ends.IsLocal(socket.Local, socket.Remote, socket.State, Pod, connection => _translated.TryGetValue(connection, out var end) ? end : null);

    private void Dump(IEnumerable<SeenSocket> sockets, string[]? workloads = null)
    {
        _ends.Begin();
        foreach (var (index, socket) in sockets.Index())
        {
            var isWanted = _ends.Wants(in socket);
            if (isWanted)
            {
                _ends.Add(in socket, workloads?[index] ?? Pod);
            }
            _ends.IsOpen(in socket, isWanted);
        }
        _ends.End(end =>
        {
            _asked++;
            return _listeners.Contains(end);
        });
    }

    private static SeenSocket Socket(UInt128 local, ushort localPort, UInt128 remote, ushort remotePort) => new()
    {
        Cookie = 1,
        Local = new SocketEndpoint(local, localPort),
        Remote = new SocketEndpoint(remote, remotePort),
        State = TcpState.Established,
    };
}
