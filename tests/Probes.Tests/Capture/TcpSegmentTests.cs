using System.Net;
using Keepalive.Linux.Packets;
using Keepalive.Testbed;
using PacketDotNet;
using PacketDotNet.Tcp;
using Xunit;

namespace Keepalive.Probes.Tests.Capture;

/// <summary>Frames of every supported kind, whole, truncated and damaged.</summary>
public sealed class TcpSegmentTests
{
    private const string Four = "10.0.0.1:40000>10.0.0.2:443";
    private const string Six = "[2001:db8::1]:40000>[2001:db8::2]:443";

    // A hop-by-hop and a destination options header, then TCP; and the first fragment of a datagram.
    private static readonly byte[] s_extensions = [60, 0, 1, 4, 0, 0, 0, 0, 6, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    private static readonly byte[] s_firstFragment = [6, 0, 0, 1, 0, 0, 0, 9];
    private static readonly byte[] s_laterFragment = [6, 0, 0x10, 0, 0, 0, 0, 9];

    private static readonly Frame s_v6 = new() { Source = "[2001:db8::1]:40000", Destination = "[2001:db8::2]:443" };

    private static readonly Dictionary<string, (Frame Frame, string Expected)> s_frames = new()
    {
        ["Ethernet"] = (new Frame(), Four),
        ["Ethernet, IPv6"] = (s_v6, Six),
        ["802.1Q"] = (new Frame { Tags = [0x8100] }, Four),
        ["QinQ"] = (new Frame { Tags = [0x88A8, 0x8100] }, Four),
        ["old QinQ, IPv6"] = (s_v6 with { Tags = [0x9100, 0x8100] }, Six),
        ["SLL"] = (new Frame { Link = LinkType.LinuxCooked }, Four),
        ["SLL, tagged, IPv6"] = (s_v6 with { Link = LinkType.LinuxCooked, Tags = [0x8100] }, Six),
        ["SLL2"] = (new Frame { Link = LinkType.LinuxCooked2 }, Four),
        ["SLL2, IPv6"] = (s_v6 with { Link = LinkType.LinuxCooked2 }, Six),
        ["raw"] = (new Frame { Link = LinkType.Raw }, Four),
        ["raw, IPv6"] = (s_v6 with { Link = LinkType.Raw }, Six),
        ["raw by DLT"] = (new Frame { Link = LinkType.RawDlt }, Four),
        ["raw IPv4"] = (new Frame { Link = LinkType.IPv4 }, Four),
        ["raw IPv6"] = (s_v6 with { Link = LinkType.IPv6 }, Six),
        ["null"] = (new Frame { Link = LinkType.Null }, Four),
        ["null, IPv6"] = (s_v6 with { Link = LinkType.Null }, Six),
        ["loop"] = (new Frame { Link = LinkType.Loop }, Four),
        ["NFLOG"] = (new Frame { Link = LinkType.NetfilterLog }, Four),
        ["NFLOG, IPv6"] = (s_v6 with { Link = LinkType.NetfilterLog }, Six),
        ["IPv4 options"] = (new Frame { NetworkOptions = [7, 7, 4, 0, 0, 0, 0, 0] }, Four),
        ["IPv6 extensions"] = (s_v6 with { FirstExtension = 0, NetworkOptions = s_extensions }, Six),
        ["IPv6 first fragment"] = (s_v6 with { FirstExtension = 44, NetworkOptions = s_firstFragment }, Six),
        ["padding"] = (new Frame { Padding = 6 }, Four),
        ["timestamps"] = (new Frame { Timestamp = 77 }, Four),
        ["payload"] = (new Frame { Payload = [65] }, Four),
    };

    public static TheoryData<string> Names => [.. s_frames.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void TryRead_Frame_IsTheSegmentThatWasWritten(string name)
    {
        var (frame, expected) = s_frames[name];
        frame = frame with { Sequence = 0xFFFFFFFF, Acknowledged = 7, Window = 0, Flags = TcpFlags.Ack | TcpFlags.Psh };
        var bytes = frame.ToBytes();

        Assert.Equal(FrameContent.Segment, TcpSegment.TryRead(frame.Link, bytes, bytes.Length, out var segment));
        Assert.Equal(expected, $"{segment.Source}>{segment.Destination}");
        Assert.Equal((0xFFFFFFFF, 7u, (ushort)0, frame.Flags), (segment.Sequence, segment.Acknowledged, segment.Window, segment.Flags));
        Assert.Equal((frame.Payload.Length, frame.Timestamp), (segment.PayloadLength, segment.Timestamp));
        Assert.Equal(frame.Payload.Length > 0 ? frame.Payload[0] : -1, segment.FirstByte);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void TryRead_CutAnywhere_IsTruncatedUntilTheTcpHeaderIsThere(string name)
    {
        var frame = s_frames[name].Frame with { Timestamp = 1, Padding = 0, Payload = [1, 2, 3] };
        var bytes = frame.ToBytes();
        var needed = bytes.Length - 3 - 12;   // without the options and the payload
        for (var length = 0; length < bytes.Length; length++)
        {
            var content = TcpSegment.TryRead(frame.Link, bytes.AsSpan(0, length), bytes.Length, out var segment);
            Assert.Equal(length < needed ? FrameContent.Truncated : FrameContent.Segment, content);
            Assert.Equal(length < needed ? 0 : 3, segment.PayloadLength);
        }
    }

    [Fact]
    public void TryRead_OtherThanTcp_IsOther()
    {
        Assert.Equal(FrameContent.Other, Read(s_v6 with { FirstExtension = 44, NetworkOptions = s_laterFragment }));
        Assert.Equal(FrameContent.Other, Read(new Frame(), bytes => bytes[14 + 9] = 17));           // UDP
        Assert.Equal(FrameContent.Other, Read(new Frame(), bytes => bytes[13] = 6));                // ARP
        Assert.Equal(FrameContent.Other, Read(new Frame(), bytes => bytes[14 + 7] = 1));            // a later fragment
        Assert.Equal(FrameContent.Other, Read(new Frame(), bytes => bytes[14] = 0x44));             // a header of 16 bytes
        Assert.Equal(FrameContent.Other, Read(new Frame(), bytes => bytes[14 + 3] = 39));           // ends within the TCP header
        Assert.Equal(FrameContent.Other, Read(new Frame(), bytes => bytes[14 + 20 + 12] = 0x40));   // a TCP header of 16 bytes
        Assert.Equal(FrameContent.Other, Read(new Frame(), bytes => bytes[14 + 20 + 12] = 0xF0));   // one longer than the packet
    }

    /// <summary>The attributes of a packet that a firewall rule logged are in the byte order of the host that captured it.</summary>
    [Fact]
    public void TryRead_LoggedOnABigEndianHost_IsTheSegment()
    {
        var packet = new Frame { Link = LinkType.Raw }.ToBytes();
        byte[] logged = [2, 0, 0, 7, 0, 8, 0, 1, 8, 0, 1, 0, 0, (byte)(packet.Length + 4), 0, 9, .. packet];

        Assert.Equal(FrameContent.Segment, TcpSegment.TryRead(LinkType.NetfilterLog, logged, logged.Length, out var segment));
        Assert.Equal(Four, $"{segment.Source}>{segment.Destination}");
    }

    [Fact]
    public void TryRead_LoggedWithoutAPacket_IsOther()
    {
        foreach (var logged in (byte[][])[[2, 0, 0, 7, 6, 0, 10, 0, 65, 0, 0, 0], [2, 0, 0, 7, 6, 0, 10, 0, 65, 0], [2, 0, 0, 7, 0, 0, 9, 0, 1, 1, 1, 1]])
        {
            Assert.Equal(FrameContent.Other, TcpSegment.TryRead(LinkType.NetfilterLog, logged, logged.Length, out _));
        }
    }

    [Fact]
    public void TryRead_LengthLeftToTheCard_IsTheFrames()
    {
        var bytes = new Frame { Payload = new byte[1000] }.ToBytes();
        (bytes[16], bytes[17]) = (0, 0);

        Assert.Equal(FrameContent.Segment, TcpSegment.TryRead(LinkType.Ethernet, bytes.AsSpan(0, 80), 70_054, out var segment));
        Assert.Equal(70_000, segment.PayloadLength);
    }

    /// <summary>Random valid packets with any options, truncated or padded: PacketDotNet and the product's reader both find the written
    /// values.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void TryRead_RandomSegment_IsAsPacketDotNetReadsIt(bool ipv6)
    {
        var random = new Random(11);
        for (var i = 0; i < 5_000; i++)
        {
            var options = RandomOptions(random);
            var payload = new byte[random.Next(4) * random.Next(200)];
            random.NextBytes(payload);
            var built = BuiltPacket.Tcp(
                RandomEnd(random, ipv6), RandomEnd(random, ipv6), (uint)random.NextInt64(1L << 32), (uint)random.NextInt64(1L << 32), (byte)random.Next(256 - 32),
                (ushort)random.Next(65_536), payload, options, (ushort)random.Next(65_536));
            var bytes = built.InEthernet(new byte[6], new byte[6]);

            Assert.Equal(FrameContent.Segment, TcpSegment.TryRead(LinkType.Ethernet, [.. bytes, .. new byte[random.Next(20)]], bytes.Length, out var segment));
            var ip = Packet.ParsePacket(LinkLayers.Ethernet, bytes).Extract<IPPacket>();
            var tcp = ip.Extract<TcpPacket>();
            Assert.True(tcp.ValidTcpChecksum);
            Assert.Equal($"{new IPEndPoint(ip.SourceAddress, tcp.SourcePort)}>{new IPEndPoint(ip.DestinationAddress, tcp.DestinationPort)}", $"{segment.Source}>{segment.Destination}");
            Assert.Equal(
                (tcp.SequenceNumber, tcp.AcknowledgmentNumber, (TcpFlags)tcp.Flags, tcp.WindowSize, (ip as IPv4Packet)?.Id ?? (ushort)0),
                (segment.Sequence, segment.Acknowledged, segment.Flags, segment.Window, segment.Identification));
            Assert.Equal((payload.Length, payload.Length == 0 ? -1 : payload[0]), (segment.PayloadLength, segment.FirstByte));
            // PacketDotNet cannot read options beside an urgent pointer.
            var found = tcp.Urgent ? null : tcp.OptionsCollection;
            Assert.Equal(found?.OfType<TimeStampOption>().SingleOrDefault()?.Value ?? (tcp.Urgent ? segment.Timestamp : 0), segment.Timestamp);
            Assert.Equal(found?.OfType<SelectiveAcknowledgmentOption>().Any() ?? segment.IsSelective, segment.IsSelective);
        }
    }

    private static IPEndPoint RandomEnd(Random random, bool ipv6)
    {
        var address = new byte[ipv6 ? 16 : 4];
        random.NextBytes(address);
        address[0] = 0x20;   // no IPv4-mapped address
        return new IPEndPoint(new IPAddress(address), random.Next(65_536));
    }

    /// <summary>Some of the options that real stacks send, in any order, padded with NOPs.</summary>
    private static byte[] RandomOptions(Random random)
    {
        byte[][] all = [[2, 4, 5, 180], [3, 3, 7], [4, 2], [1], BuiltPacket.Timestamps((uint)random.Next(), (uint)random.Next())[2..], [5, 10, .. new byte[8]]];
        random.Shuffle(all);
        byte[] options = [.. all.Take(random.Next(all.Length + 1)).SelectMany(option => option)];
        return [.. options, .. Enumerable.Repeat((byte)1, (4 - (options.Length % 4)) % 4)];
    }

    private static FrameContent Read(Frame frame, Action<byte[]>? spoil = null)
    {
        var bytes = frame.ToBytes();
        spoil?.Invoke(bytes);
        return TcpSegment.TryRead(frame.Link, bytes, bytes.Length, out _);
    }
}
