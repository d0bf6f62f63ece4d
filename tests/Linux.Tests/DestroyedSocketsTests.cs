using System.Globalization;
using Keepalive.Linux.Namespaces;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Linux.Tests;

/// <summary>Compares the kernel's reports of ended sockets with the actions of the application and the losses on the network.</summary>
public sealed class DestroyedSocketsTests : IDisposable
{
    private static readonly TimeSpan s_soon = TimeSpan.FromSeconds(5);

    private readonly Lab _lab = CreateLab();
    private readonly int _port;

    public DestroyedSocketsTests() => _port = _lab.Server.Listen();

    public static TheoryData<string> Families => [Lab.ServerAddress, Lab.ServerAddress6, Lab.ServerAddressMapped];

    [Theory]
    [MemberData(nameof(Families))]
    public void Read_KeepaliveGaveUp_HasAsManyProbesAsTheSocketAllows(string address)
    {
        using var source = Open();
        int id = Connect(address);
        _lab.Client.EnableKeepalive(id, idle: 1, interval: 1, count: 2);
        var (cookie, local) = (_lab.Client.Cookie(id), _lab.Client.LocalEndPoint(id));
        _lab.BlackHole();
        AwaitEnd(id);
        Assert.Empty(Read(source));   // the application still has it

        _lab.Client.Close(id);

        var gone = Assert.Single(ReadSome(source));
        Assert.Equal((cookie, TcpState.Close, (byte)2, (byte)0), (gone.Cookie, gone.State, gone.Probes, gone.Retransmits));
        Assert.Equal(address.Contains(':', StringComparison.Ordinal) && address != Lab.ServerAddressMapped, !gone.Remote.IsIPv4);
        Assert.Equal(local.Port, gone.Local.Port);
        Assert.Equal(_port, gone.Remote.Port);
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void Read_DataGivenUp_HasRetransmissionsAndNoProbes(string address)
    {
        using var source = Open();
        int id = Connect(address);
        _lab.Client.EnableKeepalive(id, idle: 1, interval: 1, count: 2);
        _lab.Client.Set(id, HolderOption.UserTimeoutMilliseconds, 700);
        _lab.BlackHole();
        _lab.Client.Send(id, 10);
        AwaitEnd(id);
        _lab.Client.Close(id);

        var gone = Assert.Single(ReadSome(source));

        Assert.Equal(0, gone.Probes);
        Assert.InRange(gone.Retransmits, 1, 15);
    }

    /// <summary>The socket waits in FIN-WAIT-2. It has its own keepalive timer as long as the application holds it.</summary>
    [Theory]
    [MemberData(nameof(Families))]
    public void Read_HalfClosedAndGivenUp_HasProbes(string address)
    {
        using var source = Open();
        _lab.Server.AcceptByHand();
        int id = Connect(address);
        _lab.Client.EnableKeepalive(id, idle: 1, interval: 1, count: 2);
        _lab.Client.HalfClose(id);
        Eventually.True(() => Ss.Read(_lab.Client).Any(socket => socket.State == "FIN-WAIT-2"), s_soon);
        _lab.BlackHole();
        AwaitEnd(id);
        _lab.Client.Close(id);

        var gone = Assert.Single(ReadSome(source));

        Assert.Equal((2, 0), (gone.Probes, gone.Retransmits));
    }

    [Fact]
    public void Read_ConnectionsThatEndWell_AreNotDelivered()
    {
        using var source = Open();
        int ended = 0;
        foreach (var address in Families)
        {
            _lab.Client.ConnectMany(address, _port, 20);
            Assert.Equal(20, _lab.Client.Count().Own);
            _lab.Client.CloseAll();
            _lab.Client.Abort(Connect(address));
            _lab.Client.ConnectShort(address, _port, 20);
            ended += 41;
        }
        // One socket that passes the filter, after all the others.
        int last = Connect(Lab.ServerAddress);
        _lab.Client.EnableKeepalive(last, idle: 1, interval: 1, count: 1);
        var cookie = _lab.Client.Cookie(last);
        _lab.BlackHole();
        AwaitEnd(last);
        _lab.Client.Close(last);

        Assert.Equal(cookie, Assert.Single(ReadSome(source)).Cookie);
        Assert.Equal((123, 0L), (ended, source.Lost));
    }

    /// <summary>A FIN counts as unanswered data, too.</summary>
    [Fact]
    public void Read_ClosedWithAProbeUnderWay_HasRetransmissionsOnceTheFinIsGivenUp()
    {
        _lab.Client.Shell("echo 1 > /proc/sys/net/ipv4/tcp_orphan_retries");
        using var source = Open();
        int id = Connect(Lab.ServerAddress);
        _lab.Client.EnableKeepalive(id, idle: 1, interval: 30, count: 5);
        _lab.BlackHole();
        Eventually.True(() => Nstat.Read(_lab.Client, Nstat.KeepaliveProbes) == 1, s_soon);
        _lab.Client.Close(id);

        var gone = Assert.Single(ReadSome(source));
        Assert.Equal(1, gone.Probes);
        Assert.InRange(gone.Retransmits, 1, 8);
    }

    [Fact]
    public void Read_AbortedAfterItsEnd_HasItsProbes()
    {
        using var source = Open();
        int id = Connect(Lab.ServerAddress);
        _lab.Client.EnableKeepalive(id, idle: 1, interval: 1, count: 2);
        _lab.BlackHole();
        AwaitEnd(id);
        _lab.Client.Abort(id);

        Assert.Equal(2, Assert.Single(ReadSome(source)).Probes);
    }

    /// <summary>The position of struct tcp_info differs between kernels. The filter also finds it behind other attributes. The sender is
    /// another process with CAP_NET_ADMIN.</summary>
    [Theory]
    [InlineData("info(0, 3)", true)]
    [InlineData("info(2, 0)", true)]
    [InlineData("info(0, 0)", false)]
    [InlineData("attr(10, b'\\x06') + info(0, 3)", true)]
    [InlineData("attr(10, b'\\x06') + attr(11, b'\\x01') + info(0, 1)", true)]
    [InlineData("attr(10, b'\\x06') + attr(11, b'\\x01') + attr(0, b'') + info(1, 0)", true)]
    [InlineData("attr(10, b'\\xff' * 7) + info(0, 0)", false)]
    [InlineData("attr(2, b'\\x07\\x00')", false)]
    [InlineData("attr(10, b'\\x06')", false)]
    [InlineData("b''", false)]
    public void Filter_TcpInfoAnywhere_PassesWhatHasSomethingUnanswered(string attributes, bool passes)
    {
        using var source = Open();
        Multicast($"for group in (1, 4): say(group, {attributes})");

        int passed = 0;
        while (source.TryRead(out var socket))
        {
            Assert.Null(socket);   // the message is not from the kernel
            passed++;
        }
        Assert.Equal(passes ? 2 : 0, passed);
    }

    [Fact]
    public void Read_MoreThanThereIsRoomFor_CountsTheRestAndGoesOn()
    {
        using var source = Open();
        const int sent = 3000;
        Multicast($"for i in range({sent}): say(1, info(0, 3))");

        int first = Count(source);
        Assert.InRange(first, 100, 1000);
        Assert.Equal(sent - first, source.Lost);

        Multicast("for i in range(7): say(4, info(0, 3))");
        Assert.Equal(7, Count(source));
        Assert.Equal(sent - first, source.Lost);
    }

    [Fact]
    public void Parse_WhatIsNoSocket_IsNull()
    {
        Assert.Null(DestroyedSockets.Parse([]));
        Assert.Null(DestroyedSockets.Parse(new byte[8]));
        byte[] shortOne = new byte[40];
        shortOne[0] = 40;
        shortOne[4] = 20;
        Assert.Null(DestroyedSockets.Parse(shortOne));
        byte[] withoutInfo = new byte[88];
        withoutInfo[0] = 88;
        withoutInfo[4] = 20;
        Assert.Null(DestroyedSockets.Parse(withoutInfo));
    }

    public void Dispose() => _lab.Dispose();

    private static Lab CreateLab()
    {
        Live.Require("python3");
        return new Lab();
    }

    private DestroyedSockets Open() => NetworkNamespace.Run(_lab.Client.NetnsPath, DestroyedSockets.Open);

    private int Connect(string address) => _lab.Client.Connect(address, _port);

    private void AwaitEnd(int id) => Eventually.True(() => _lab.Client.PendingError(id).Over, TimeSpan.FromSeconds(15));

    private static List<DestroyedSocket> ReadSome(DestroyedSockets source) => Eventually.Value(() => Read(source), read => read.Count > 0, s_soon).Value;

    private static List<DestroyedSocket> Read(DestroyedSockets source)
    {
        var all = new List<DestroyedSocket>();
        while (source.TryRead(out var socket))
        {
            all.Add(socket!.Value);
        }
        return all;
    }

    private static int Count(DestroyedSockets source)
    {
        int count = 0;
        for (; source.TryRead(out _); count++)
        {
        }
        return count;
    }

    /// <summary>Multicasts messages in the client's namespace that are not from the kernel.</summary>
    private void Multicast(string script) => _lab.Client.Run("python3", "-c", string.Create(CultureInfo.InvariantCulture, $"""
        import socket, struct
        s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)
        attr = lambda type, value: struct.pack("HH", 4 + len(value), type) + value + bytes(-len(value) % 4)
        info = lambda retransmits, probes: attr(2, bytes([7, 0, retransmits, probes]) + bytes(276))
        def say(group, attributes):
            message = bytes([2, 7, 0, 0]) + bytes(68) + attributes
            s.sendto(struct.pack("IHHII", 16 + len(message), 20, 0, 0, 0) + message, (0, group))
        {script}
        """));
}
