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

    private readonly LocalEnds _ends = new();

    [Fact]
    public void Contains_ConnectionThatRedirectSendsToAProxy_IsFound()
    {
        var application = Socket(s_pod, 40000, s_far, 443);
        var proxy = Socket(s_loopback, 15001, s_pod, 40000);
        var proxysOwn = Socket(s_pod, 50000, s_far, 443);
        for (var dump = 0; dump < 3; dump++)
        {
            // The order of the sockets does not matter.
            Dump(dump % 2 == 0 ? [application, proxy, proxysOwn] : [proxysOwn, proxy, application]);
            Assert.True(_ends.Contains(application.Local));
            Assert.False(_ends.Contains(proxysOwn.Local));
        }
    }

    [Fact]
    public void Contains_ConnectionToItself_IsFoundUntilItIsGone()
    {
        Dump([Socket(s_pod, 40000, s_pod, 443), Socket(s_pod, 443, s_pod, 40000)]);
        Assert.True(_ends.Contains(new SocketEndpoint(s_pod, 40000)));
        Dump([Socket(s_pod, 443, s_far, 40000)]);
        Assert.False(_ends.Contains(new SocketEndpoint(s_pod, 40000)));
    }

    [Fact]
    public void Contains_ServerOfTheSamePortElsewhere_IsNotFound()
    {
        Dump([Socket(s_pod, 40000, s_far, 443), Socket(s_pod, 443, s_far, 40000), Socket(s_pod, 22, 0, 0)]);
        Assert.False(_ends.Contains(new SocketEndpoint(s_pod, 40000)));
    }

    /// <summary>A tenant can have any number of addresses.</summary>
    [Fact]
    public void Add_HundredThousandAddresses_AreNotKept()
    {
        for (var dump = 0; dump < 3; dump++)
        {
            Dump(Enumerable.Range(0, 100_000).Select(number => Socket(s_pod + (UInt128)number, 1, s_pod + (UInt128)number, 2)));
        }
        _ends.Begin();
        Assert.False(_ends.Contains(new SocketEndpoint(s_pod, 2)));
    }

    private void Dump(IEnumerable<SeenSocket> sockets)
    {
        _ends.Begin();
        foreach (var socket in sockets)
        {
            _ends.Add(in socket);
        }
    }

    private static SeenSocket Socket(UInt128 local, ushort localPort, UInt128 remote, ushort remotePort) => new()
    {
        Cookie = 1,
        Local = new SocketEndpoint(local, localPort),
        Remote = new SocketEndpoint(remote, remotePort),
        State = TcpState.Established,
    };
}
