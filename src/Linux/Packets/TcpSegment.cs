using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Keepalive.Linux.Sockets;

namespace Keepalive.Linux.Packets;

/// <summary>The result of reading a captured frame.</summary>
public enum FrameContent
{
    /// <summary>A TCP segment.</summary>
    Segment,

    /// <summary>Anything else, whole or not; also what claims to be TCP and is too short for it.</summary>
    Other,

    /// <summary>The capture ends before a header does: it may well be TCP.</summary>
    Truncated,
}

/// <summary>A view of the TCP segment in one captured frame. Whatever the bytes, reading them never throws.</summary>
/// <remarks>
/// <code>
///   frame │ link header, VLAN tags │ IPv4, options / IPv6, extension headers │ TCP, options │ payload ┊ padding
///                                  └──────────── the IP header's own length ──────────────────────────┘
/// </code>
/// Lengths are those of the headers: the capture may hold less (snaplen), and the frame more (padding).
/// </remarks>
public ref struct TcpSegment
{
    internal const byte Protocol = 6;

    // Read by reference: a copy is three moves.
    private SocketEndpoint _source;
    private SocketEndpoint _destination;

    /// <param name="source">Its sender.</param>
    /// <param name="destination">Its receiver.</param>
    /// <param name="header">Its header.</param>
    /// <param name="payloadLength">Bytes of payload on the wire.</param>
    /// <param name="payload">Those that were captured.</param>
    /// <param name="marks">Those of its packet.</param>
    private TcpSegment(SocketEndpoint source, SocketEndpoint destination, TcpHeader header, int payloadLength, ReadOnlySpan<byte> payload, PacketMarks marks)
    {
        _source = source;
        _destination = destination;
        Sequence = header.Sequence;
        Acknowledged = header.Acknowledged;
        Flags = header.Flags;
        Window = header.Window;
        header.ReadOptions(out var timestamp, out var selective);
        Timestamp = timestamp;
        IsSelective = selective;
        PayloadLength = payloadLength;
        Identification = marks.Identification;
        HopLimit = marks.HopLimit;
        Payload = payload;
    }

    [UnscopedRef]
    public readonly ref readonly SocketEndpoint Source => ref _source;

    [UnscopedRef]
    public readonly ref readonly SocketEndpoint Destination => ref _destination;

    public uint Sequence { readonly get; private set; }

    /// <summary>The next byte its sender expects; of no meaning without the ACK flag.</summary>
    public uint Acknowledged { readonly get; private set; }

    public TcpFlags Flags { readonly get; private set; }

    /// <summary>As on the wire, before scaling: 0 is 0 in any scale.</summary>
    public ushort Window { readonly get; private set; }

    /// <summary>TSval of the timestamps option (RFC 7323), 0 without one.</summary>
    public uint Timestamp { readonly get; private set; }

    /// <summary>Whether it has a SACK option, which reports blocks received out of order or twice (RFC 2018, RFC 2883).</summary>
    public bool IsSelective { readonly get; private set; }

    /// <summary>Bytes of payload on the wire.</summary>
    public int PayloadLength { readonly get; private set; }

    /// <summary>The identification of the IPv4 packet; 0 in IPv6.</summary>
    public ushort Identification { readonly get; private set; }

    /// <summary>The time to live of the IPv4 packet, or the hop limit of the IPv6 packet: each router on the way took one from what the sender gave.</summary>
    public byte HopLimit { readonly get; private set; }

    /// <summary>The payload as far as it was captured.</summary>
    public ReadOnlySpan<byte> Payload { readonly get; private set; }

    /// <summary>The first byte of the payload, -1 where there is none or it was not captured.</summary>
    public readonly int FirstByte => Payload.IsEmpty ? -1 : Payload[0];

    /// <summary>Finds the segment in a frame.</summary>
    /// <param name="link">The frame's link type.</param>
    /// <param name="frame">The captured bytes.</param>
    /// <param name="wireLength">The frame's length on the wire: what segments count by whose IP length is left to the network card.</param>
    /// <param name="segment">The segment.</param>
    public static FrameContent TryRead(LinkType link, ReadOnlySpan<byte> frame, int wireLength, out TcpSegment segment) =>
        TryRead(link, frame, wireLength, out segment, out _);

    /// <summary>Finds the segment in a frame, but not inside tunnels.</summary>
    /// <param name="link">The frame's link type.</param>
    /// <param name="frame">The captured bytes.</param>
    /// <param name="wireLength">The frame's length on the wire.</param>
    /// <param name="segment">The segment.</param>
    /// <param name="hasLayers">Whether it is in a VLAN or authenticated: <see cref="TunnelReader"/> finds the layers.</param>
    public static FrameContent TryRead(LinkType link, ReadOnlySpan<byte> frame, int wireLength, out TcpSegment segment, out bool hasLayers)
    {
        if (TryReadPlain(link, frame, wireLength, out segment))
        {
            hasLayers = false;
            return FrameContent.Segment;
        }
        return ReadOther(link, frame, wireLength, out segment, out hasLayers);
    }

    /// <summary>Finds the segment in any frame, but not inside tunnels.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static FrameContent ReadOther(LinkType link, ReadOnlySpan<byte> frame, int wireLength, out TcpSegment segment, out bool hasLayers)
    {
        segment = default;
        if (!LinkFrame.TryRead(link, frame, out var header))
        {
            hasLayers = false;
            return LinkFrame.IsCut(link, frame, wireLength) ? FrameContent.Truncated : FrameContent.Other;
        }
        var onWire = Math.Max(wireLength, frame.Length) - header.HeaderLength;
        hasLayers = header.IsTagged;
        switch (header.Protocol)
        {
            case LinkFrame.EtherTypeIPv4:
                return ReadIPv4(frame[header.HeaderLength..], onWire, out segment);
            case LinkFrame.EtherTypeIPv6:
                var content = ReadIPv6(frame[header.HeaderLength..], onWire, out segment, out var isAuthenticated);
                hasLayers |= isAuthenticated;
                return content;
            default:
                return FrameContent.Other;
        }
    }

    /// <summary>Finds the segment in a frame as nearly all are: IPv4 without options in Ethernet. Other frames are for
    /// <see cref="TryRead(LinkType, ReadOnlySpan{byte}, int, out TcpSegment, out bool)"/>.</summary>
    /// <remarks>All places are constants, so that one comparison of the length is enough; the segment is written where the caller has it.</remarks>
    /// <param name="link">The frame's link type.</param>
    /// <param name="frame">The captured bytes.</param>
    /// <param name="wireLength">The frame's length on the wire.</param>
    /// <param name="segment">The segment; of no meaning without one.</param>
    /// <returns>False where the frame is not this, or not whole.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryReadPlain(LinkType link, ReadOnlySpan<byte> frame, int wireLength, out TcpSegment segment)
    {
        const int ip = LinkFrame.EthernetLength;
        Unsafe.SkipInit(out segment);
        if (link != LinkType.Ethernet || frame.Length < PlainFrame.Length)
        {
            return false;
        }
        ref readonly var plain = ref MemoryMarshal.AsRef<PlainFrame>(frame);
        if (!plain.IsSegment)
        {
            return false;
        }
        var length = plain.TotalLength == 0 ? Math.Max(wireLength, frame.Length) - ip : plain.TotalLength;
        var header = plain.HeaderLength;
        var payload = length - IPv4Packet.FixedLength - header;
        if (header < TcpHeader.FixedLength || payload < 0)
        {
            return false;
        }
        segment._source = SocketEndpoint.FromIPv4(plain.Source, plain.SourcePort);
        segment._destination = SocketEndpoint.FromIPv4(plain.Destination, plain.DestinationPort);
        segment.Sequence = plain.Sequence;
        segment.Acknowledged = plain.Acknowledged;
        segment.Flags = plain.Flags;
        segment.Window = plain.Window;
        segment.Identification = plain.Identification;
        segment.HopLimit = plain.TimeToLive;
        segment.PayloadLength = payload;
        var begin = PlainFrame.SegmentAt + header;
        segment.Payload = payload > 0 && begin < frame.Length ? frame[begin..Math.Min(frame.Length, ip + length)] : default;
        if (TcpHeader.TryReadUsualOptions(frame, PlainFrame.SegmentAt, header, out var timestamp))
        {
            segment.Timestamp = timestamp;
            segment.IsSelective = false;
        }
        else
        {
            segment.ReadOptions(frame[PlainFrame.SegmentAt..]);
        }
        return true;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void ReadOptions(ReadOnlySpan<byte> header)
    {
        new TcpHeader(header).ReadOptions(out var timestamp, out var isSelective);
        (Timestamp, IsSelective) = (timestamp, isSelective);
    }

    private static FrameContent ReadIPv4(ReadOnlySpan<byte> bytes, int onWire, out TcpSegment segment)
    {
        segment = default;
        if (bytes.Length < IPv4Packet.FixedLength)
        {
            return Short(bytes, onWire);
        }
        var packet = new IPv4Packet(bytes);
        var offset = packet.HeaderLength;
        if (packet.Protocol != Protocol || packet.IsLaterFragment || offset < IPv4Packet.FixedLength || bytes[0] >> 4 != 4)
        {
            return FrameContent.Other;
        }
        var length = packet.TotalLength == 0 ? onWire : packet.TotalLength;
        var (source, destination) = (SocketEndpoint.FromIPv4(packet.Source, 0), SocketEndpoint.FromIPv4(packet.Destination, 0));
        return ReadTcp(bytes, offset, length, onWire, source, destination, packet.Marks, out segment);
    }

    private static FrameContent ReadIPv6(ReadOnlySpan<byte> bytes, int onWire, out TcpSegment segment, out bool isAuthenticated)
    {
        segment = default;
        isAuthenticated = false;
        if (bytes.Length < IPv6Packet.FixedLength)
        {
            return Short(bytes, onWire);
        }
        var packet = new IPv6Packet(bytes);
        if (bytes[0] >> 4 != 6)
        {
            return FrameContent.Other;
        }
        if (!packet.TryFindUpperLayer(out var protocol, out var offset, out isAuthenticated))
        {
            return Short(bytes, onWire);
        }
        if (protocol != Protocol)
        {
            return FrameContent.Other;
        }
        var length = packet.PayloadLength == 0 ? onWire : IPv6Packet.FixedLength + packet.PayloadLength;
        return ReadTcp(bytes, offset, length, onWire, new SocketEndpoint(packet.Source, 0), new SocketEndpoint(packet.Destination, 0), packet.Marks, out segment);
    }

    /// <summary>Reads the segment in a packet whose addresses are known; the ports of <paramref name="source"/> and <paramref name="destination"/> do not
    /// matter.</summary>
    internal static FrameContent ReadTcp(
        ReadOnlySpan<byte> packet, int offset, int length, int onWire, SocketEndpoint source, SocketEndpoint destination, PacketMarks marks, out TcpSegment segment)
    {
        segment = default;
        if (length < offset + TcpHeader.FixedLength)
        {
            return FrameContent.Other;
        }
        if (packet.Length < offset + TcpHeader.FixedLength)
        {
            return Short(packet, onWire);
        }
        packet = packet[..Math.Min(packet.Length, length)];
        var header = new TcpHeader(packet[offset..]);
        var begin = offset + header.HeaderLength;
        if (header.HeaderLength < TcpHeader.FixedLength || begin > length)
        {
            return FrameContent.Other;
        }
        segment = new TcpSegment(
            new SocketEndpoint(source.Upper, source.Lower, header.SourcePort),
            new SocketEndpoint(destination.Upper, destination.Lower, header.DestinationPort),
            header,
            length - begin,
            begin < packet.Length ? packet[begin..] : default,
            marks);
        return FrameContent.Segment;
    }

    /// <summary>Too few bytes for a header: because the capture was cut, or because there never were more.</summary>
    private static FrameContent Short(ReadOnlySpan<byte> bytes, int onWire) => bytes.Length < onWire ? FrameContent.Truncated : FrameContent.Other;
}
