using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Keepalive.Linux.Capture;
using Keepalive.Linux.Namespaces;
using Keepalive.Linux.Packets;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Linux.Tests;

/// <summary>Captures on interfaces of the test's own namespace: by name through libpcap, by index through a ring.</summary>
public sealed class CaptureTests : IDisposable
{
    private const int Port = 9999;
    private const int Header = 28;   // IPv4 and UDP
    private const int Ethernet = 14;

    private readonly Lab _lab = CreateLab();

    [Fact]
    public void Statistics_RingOverrun_CountDroppedPackets()
    {
        const int sent = 5_000;
        var (read, received, dropped) = Inside(() =>
        {
            using var capture = PcapCapture.Open(Lab.ClientInterface);
            capture.SetFilter($"udp dst port {Port}");
            Send(sent, 100);
            var read = Count(capture);
            var (received, dropped) = capture.Statistics();
            return (read, received, dropped);
        });

        Assert.InRange(read, 1, sent - 1);
        AssertReceived(sent, received);
        Assert.Equal((uint)(sent - read), dropped);
    }

    [Fact]
    public void Statistics_NothingLost_CountNoDrops()
    {
        var (read, (received, dropped)) = Inside(() =>
        {
            using var capture = PcapCapture.Open(Lab.ClientInterface);
            capture.SetFilter($"udp dst port {Port}");
            Send(10, 100);
            return (Count(capture), capture.Statistics());
        });

        Assert.Equal((10, 0u), (read, dropped));
        AssertReceived(10, received);
    }

    /// <summary>A packet of the kernel's own, as IPv6 sends, may have come before the filter was set.</summary>
    private static void AssertReceived(int sent, uint received) => Assert.InRange(received, (uint)sent, (uint)sent + 2);

    /// <summary>libpcap treats other names as devices of its own.</summary>
    [Theory]
    [InlineData("nosuch0")]
    [InlineData("")]
    [InlineData("any")]
    [InlineData("nflog")]
    [InlineData("nfqueue")]
    [InlineData("usbmon0")]
    [InlineData("bluetooth0")]
    [InlineData("dbus-system")]
    public void Open_NoSuchInterface_IsReported(string name)
    {
        var e = Inside(() => Assert.Throws<PcapException>(() => PcapCapture.Open(name)));

        Assert.Equal($"{name}: No such device exists", e.Message);
        Assert.True(e.IsInterface);
    }

    [Fact]
    public void Open_InterfaceThatIsDown_HasLibpcapsReason()
    {
        _lab.Client.Ip("link add asleep type veth peer name other");

        var e = Inside(() => Assert.Throws<PcapException>(() => PcapCapture.Open("asleep")));

        Assert.Equal("asleep: That device is not up", e.Message);
        Assert.True(e.IsInterface);
    }

    [Fact]
    public void Read_InterfaceThatGoesAway_HasLibpcapsReason()
    {
        _lab.Client.Ip("link add dying type veth peer name other", "link set other up", "link set dying up");

        var e = Inside(() =>
        {
            using var capture = PcapCapture.Open("dying");
            _lab.Client.Ip("link del dying");
            return Assert.Throws<PcapException>(() => Count(capture));
        });

        Assert.Equal("dying: read: The interface disappeared", e.Message);
    }

    [Theory]
    [InlineData("tcp portt 5", "syntax error")]
    [InlineData("port 5) or (port 6", "syntax error")]
    [InlineData("ip broadcast", "netmask not known")]
    [InlineData("tcp and udp", "expression rejects all packets")]
    [InlineData("host nosuch.invalid", "unknown host")]
    public void SetFilter_Invalid_HasLibpcapsReasonAndTheOldOneStays(string filter, string expected)
    {
        var (reason, read) = Inside(() =>
        {
            using var capture = PcapCapture.Open(Lab.ClientInterface);
            capture.SetFilter($"udp dst port {Port}");
            var e = Assert.Throws<PcapException>(() => capture.SetFilter(filter));
            Send(3, 10);
            return (e.Message, Count(capture));
        });

        Assert.Contains(expected, reason, StringComparison.Ordinal);
        Assert.Equal(3, read);
    }

    [Fact]
    public void SetFilter_PacketsThatArrivedBefore_AreFilteredToo()
    {
        var read = Inside(() =>
        {
            using var capture = PcapCapture.Open(Lab.ClientInterface);
            Send(3, 10);
            capture.SetFilter($"udp dst port {Port + 1}");
            return Count(capture);
        });

        Assert.Equal(0, read);
    }

    [Theory]
    [InlineData(true, LinkType.Ethernet, Ethernet)]
    [InlineData(false, LinkType.Raw, 0)]
    public void Read_LongPacket_IsCutAndItsLengthKnown(bool byName, LinkType link, int headers)
    {
        int index = int.Parse(_lab.Client.Run("ip", "-o", "link", "show", Lab.ClientInterface).Output.Split(':')[0], CultureInfo.InvariantCulture);
        var found = Inside(() =>
        {
            using InterfaceCapture capture = byName ? PcapCapture.Open(Lab.ClientInterface) : RingCapture.Open(index, SocketFilter.Compile($"udp dst port {Port}"));
            (capture as PcapCapture)?.SetFilter($"udp dst port {Port}");
            var before = DateTime.UtcNow;
            Send(1, 1000);
            Assert.True(capture.TryRead(out var time, out var data, out var wireLength));
            Assert.InRange(DateTime.UnixEpoch.AddTicks(time / 100), before.AddMilliseconds(-1), DateTime.UtcNow.AddMilliseconds(1));
            return (capture.Link, data.Length, wireLength, data[^1]);
        });

        Assert.Equal((link, InterfaceCapture.SnapLength, 1000 + Header + headers, (byte)0x5a), found);
    }

    [Fact]
    public void Compile_Invalid_HasLibpcapsReason()
    {
        var e = Assert.Throws<PcapException>(() => SocketFilter.Compile("tcp portt 5"));

        Assert.Contains("syntax error", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_Closed_IsRefused()
    {
        var capture = Inside(() => PcapCapture.Open(Lab.ClientInterface));
        capture.Dispose();

        Assert.Throws<ObjectDisposedException>(() => capture.TryRead(out _, out _, out _));
        Assert.Throws<ObjectDisposedException>(() => capture.Statistics());
    }

    public void Dispose() => _lab.Dispose();

    private static Lab CreateLab()
    {
        Live.Require();
        return new Lab();
    }

    private T Inside<T>(Func<T> work) => NetworkNamespace.Run(_lab.Client.NetnsPath, work);

    private static void Send(int count, int length)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        var payload = new byte[length];
        payload.AsSpan().Fill(0x5a);
        for (var i = 0; i < count; i++)
        {
            socket.SendTo(payload, new IPEndPoint(IPAddress.Parse(Lab.ServerAddress), Port));
        }
    }

    private static int Count(InterfaceCapture capture)
    {
        var count = 0;
        while (capture.TryRead(out _, out _, out _))
        {
            count++;
        }
        return count;
    }
}
