using System.Buffers.Binary;
using System.Net;
using Keepalive.Linux.Namespaces;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Processes;
using Keepalive.Linux.Sockets;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Linux.Tests;

/// <summary>Enumeration and namespaces, compared with <c>ss</c> and with the application's own values.</summary>
public sealed class SockDiagTests : IDisposable
{
    private readonly Lab _lab = CreateLab();

    [Fact]
    public void Dump_BothFamiliesInOneWalk_AgreesWithSs()
    {
        int port = _lab.Server.Listen();
        foreach (string address in new[] { Lab.ServerAddress, Lab.ServerAddress6, Lab.ServerAddressMapped })
        {
            _lab.Client.ConnectMany(address, port, 50);
        }
        _lab.Client.EnableKeepalive(0, idle: 500);
        using var sockets = NamespaceSockets.Open(_lab.Client.NetnsPath);
        var seen = Dump(sockets, TcpStates.Established);
        var expected = Ss.Read(_lab.Client);
        Assert.Equal(150, seen.Count);
        Assert.Equal(expected.Select(s => s.Cookie).Order(), seen.Select(s => s.Cookie).Order());
        foreach (var socket in seen)
        {
            var other = expected.Single(s => s.Cookie == socket.Cookie);
            Assert.Equal(Unmapped(other.Local), socket.Local.ToString());
            Assert.Equal(Unmapped(other.Remote), socket.Remote.ToString());
            Assert.Equal((uint)other.Inode, socket.Inode);
            Assert.Equal(other.Timer == "keepalive", socket.Timer == TcpTimer.Keepalive);
        }
        Assert.Equal(100, seen.Count(s => s.Remote.IsIPv4));
        Assert.InRange(seen.Single(s => s.Timer == TcpTimer.Keepalive).Expires, 490_000u, 500_001u);
    }

    [Fact]
    public void Dump_WithoutDetails_HasNoIdleClock()
    {
        _lab.Client.Connect(Lab.ServerAddress, _lab.Server.Listen());
        using var sockets = NamespaceSockets.Open(_lab.Client.NetnsPath);
        Assert.NotNull(Assert.Single(Dump(sockets, TcpStates.Established)).Idle);
        Assert.Null(Assert.Single(Dump(sockets, TcpStates.Established, details: false)).Idle);
    }

    /// <summary>A listener for all addresses of both families is one for each of them; a connection is none.</summary>
    [Fact]
    public void IsListening_ListenersAndConnections_FindsListenersOnly()
    {
        int all = _lab.Server.Listen();
        int one = _lab.Server.Listen(Lab.ServerAddress);
        int six = _lab.Server.Listen("::1");
        int id = _lab.Server.Connect(Lab.ServerAddress, all);
        using var sockets = NamespaceSockets.Open(_lab.Server.NetnsPath);
        Assert.True(IsListening(Lab.ServerAddress, all));
        Assert.True(IsListening("127.0.0.1", all));
        Assert.True(IsListening(Lab.ServerAddress6, all));
        Assert.True(IsListening(Lab.ServerAddress, one));
        Assert.False(IsListening("127.0.0.1", one));
        Assert.True(IsListening("::1", six));
        Assert.False(IsListening(Lab.ServerAddress6, six));
        Assert.False(IsListening(Lab.ServerAddress, _lab.Server.LocalEndPoint(id).Port));
        // The request for one socket does not disturb the dumps that follow it.
        Assert.Equal(2, Dump(sockets, TcpStates.Established).Count);

        bool IsListening(string address, int port) => sockets.Diag.IsListening(
            new SocketEndpoint(BinaryPrimitives.ReadUInt128BigEndian(IPAddress.Parse(address).MapToIPv6().GetAddressBytes()), (ushort)port));
    }

    [Fact]
    public void Counters_ConnectionComesAndGoes_MoveEachTime()
    {
        int port = _lab.Server.Listen();
        using var sockets = NamespaceSockets.Open(_lab.Client.NetnsPath);
        var before = sockets.Counters.Read();
        Assert.Equal(before, sockets.Counters.Read());
        int id = _lab.Client.Connect(Lab.ServerAddress, port);
        var open = sockets.Counters.Read();
        Assert.Equal(new TcpActivity(before.Opens + 1, before.Established + 1), open);
        _lab.Client.Close(id);
        Eventually.True(() => sockets.Counters.Read() == new TcpActivity(open.Opens, before.Established), TimeSpan.FromSeconds(5));
        Assert.Equal(Nstat.Read(_lab.Client, "TcpActiveOpens") + Nstat.Read(_lab.Client, "TcpPassiveOpens"), (long)open.Opens);
    }

    [Fact]
    public void Run_InAnotherNamespace_CallerStaysInItsOwn()
    {
        Assert.Equal(0, ProcFs.TryGetNetworkNamespace(Environment.ProcessId, out var own));
        var inside = NetworkNamespace.Run(_lab.Client.NetnsPath, () => ProcFs.Inode("/proc/thread-self/ns/net"));
        Assert.Equal((ulong)_lab.Client.NetnsInode, inside);
        Assert.Equal(own, ProcFs.Inode("/proc/thread-self/ns/net"));
        Assert.NotEqual(own, inside);
    }

    [Fact]
    public void Open_ProcessGone_IsReported()
    {
        var e = Assert.Throws<LinuxException>(() => NamespaceSockets.Open("/proc/999999999/ns/net"));
        Assert.Equal(Errno.ENOENT, e.Errno);
    }

    [Fact]
    public void Duplicate_OtherProcessesSocket_IsTheSameSocketAndLeavesNothingBehind()
    {
        int id = _lab.Client.Connect(Lab.ServerAddress, _lab.Server.Listen());
        int held = SocketsAndProcesses();
        using (var process = ProcessDescriptor.TryOpen(_lab.Client.Pid, out _)!)
        {
            for (int i = 0; i < 100; i++)
            {
                Assert.Equal(0, process.TryDuplicate(_lab.Client.Descriptor(id), out var socket));
                using (socket)
                {
                    Assert.Equal(0, socket.TryGetCookie(out var cookie));
                    Assert.Equal(_lab.Client.Cookie(id), cookie);
                    Assert.Equal(0, socket.TryGetOptions(out var options));
                    Assert.Equal(new KeepaliveOptions(false, 7200, 75, 9), options);
                    Assert.Equal(Errno.EINVAL, socket.TrySetTime(32768));
                    Assert.Equal(Errno.EINVAL, socket.TrySetProbes(128));
                }
            }
            Assert.Equal(Errno.EBADF, process.TryDuplicate(9999, out _));
            Assert.Equal(0, process.TryDuplicate(0, out var pipe));
            using (pipe)
            {
                Assert.Equal(Errno.ENOTSOCK, pipe.TryGetCookie(out _));
            }
        }
        Assert.Equal(held, SocketsAndProcesses());
    }

    /// <summary>Only the kinds of descriptors that duplicating makes: the runtime opens and closes files at any time.</summary>
    private static int SocketsAndProcesses() => new DirectoryInfo("/proc/self/fd").GetFileSystemInfos()
        .Count(entry => entry.LinkTarget is { } target && (target.StartsWith("socket:", StringComparison.Ordinal) || target.Contains("pidfd", StringComparison.Ordinal)));

    public void Dispose() => _lab.Dispose();

    private static Lab CreateLab()
    {
        Live.Require();
        return new Lab();
    }

    private static List<Seen> Dump(NamespaceSockets sockets, TcpStates states, bool details = true)
    {
        var collector = new Collector([]);
        sockets.Diag.Dump(states, details, ref collector);
        return collector.Sockets;
    }

    private static string Unmapped(System.Net.IPEndPoint endPoint) =>
        new System.Net.IPEndPoint(endPoint.Address.IsIPv4MappedToIPv6 ? endPoint.Address.MapToIPv4() : endPoint.Address, endPoint.Port).ToString();

    private readonly record struct Seen(
        ulong Cookie, SocketEndpoint Local, SocketEndpoint Remote, uint Inode, TcpTimer Timer, uint Expires, uint? Idle);

    private readonly record struct Collector(List<Seen> Sockets) : ISockDiagVisitor
    {
        public void Visit(in DiagnosedSocket socket) => Sockets.Add(
            new Seen(socket.Cookie, socket.Local, socket.Remote, socket.Inode, socket.Timer, socket.TimerExpires, socket.Idle));
    }
}
