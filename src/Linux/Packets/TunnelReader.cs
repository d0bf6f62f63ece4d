using System.Buffers.Binary;

namespace Keepalive.Linux.Packets;

/// <summary>Looks for the TCP segment of a frame inside its VLANs and tunnels, from the outside in. Whatever the bytes, reading them never throws.</summary>
/// <remarks>
/// <code>
///   frame │ Ethernet, VLAN 7 │ IPv4 │ UDP │ VXLAN 42 │ Ethernet │ IPv4 │ TCP, options │ payload
///           └── layer 0 ───┘  └────── layer 1 ──────┘            └────── segment ───────┘
/// </code>
/// Not for every frame: <see cref="TcpSegment.TryRead(LinkType, ReadOnlySpan{byte}, int, out TcpSegment, out bool)"/> is faster where there are none.
/// Only the caller's span is written to. A family of headers is a file: this one has the way through them, and what all need.
/// </remarks>
/// <param name="layers">Receives the layers, at least <see cref="MaxLayers"/>.</param>
public ref partial struct TunnelReader(Span<EncapsulationLayer> layers)
{
    /// <summary>The most layers that are followed.</summary>
    public const int MaxLayers = 8;

    /// <summary>The most headers: not each of them is a layer.</summary>
    private const int MaxHeaders = 32;

    private const ushort EthernetFrame = 0x6558;   // transparent Ethernet bridging
    private const ushort Arp = 0x0806;
    private const ushort Mpls = 0x8847;
    private const ushort MplsUpstream = 0x8848;
    private const ushort PppoeSession = 0x8864;
    private const ushort Macsec = 0x88E5;
    private const ushort Erspan = 0x88BE;
    private const ushort Erspan3 = 0x22EB;

    private readonly Span<EncapsulationLayer> _layers = layers;
    private ReadOnlySpan<byte> _bytes;
    private int _onWire;
    private ushort _protocol;
    private int _count;
    private OtherContent _other;

    /// <summary>The layers around the segment, the outermost first.</summary>
    public readonly ReadOnlySpan<EncapsulationLayer> Layers => _layers[.._count];

    /// <summary>The content that is no segment.</summary>
    public readonly OtherContent Other => _other;

    /// <summary>The port that the innermost UDP datagram goes to; of no meaning without one.</summary>
    public ushort UdpPort { get; private set; }

    /// <summary>Finds the segment.</summary>
    /// <param name="link">The frame's link type.</param>
    /// <param name="frame">The captured bytes.</param>
    /// <param name="wireLength">The frame's length on the wire.</param>
    /// <param name="segment">The segment, if it is one.</param>
    public FrameContent Read(LinkType link, ReadOnlySpan<byte> frame, int wireLength, out TcpSegment segment)
    {
        segment = default;
        _bytes = frame;
        (_onWire, _count, _other) = (Math.Max(wireLength, frame.Length), 0, OtherContent.Unknown);
        if (!TryReadLink(link))
        {
            return LinkFrame.IsCut(link, frame, wireLength) ? FrameContent.Truncated : FrameContent.Other;
        }
        for (var headers = 0; headers < MaxHeaders; headers++)
        {
            var content = _protocol switch
            {
                LinkFrame.EtherTypeIPv4 => ReadIPv4(out segment),
                LinkFrame.EtherTypeIPv6 => ReadIPv6(out segment),
                EthernetFrame => ReadEthernet(),
                LinkFrame.EtherTypeVlan or LinkFrame.EtherTypeServiceVlan or LinkFrame.EtherTypeOldServiceVlan => ReadTag(),
                Mpls or MplsUpstream => ReadMpls(),
                PppoeSession => ReadPppoe(),
                Macsec => ReadMacsec(),
                Arp => Stop(OtherContent.Arp),
                _ => Stop(OtherContent.Unknown),
            };
            if (content is { } found)
            {
                return found;
            }
        }
        _other = OtherContent.NestedTooDeep;
        return FrameContent.Other;
    }

    /// <summary>Reads only the VLAN tags, where the segment behind them is known already.</summary>
    /// <returns>Whether there is nothing else around it.</returns>
    public bool TryReadTags(LinkType link, ReadOnlySpan<byte> frame)
    {
        _bytes = frame;
        (_onWire, _count, _other) = (frame.Length, 0, OtherContent.Unknown);
        if (!TryReadLink(link))
        {
            return false;
        }
        while (LinkFrame.IsTag(_protocol))
        {
            if (ReadTag() is not null)
            {
                return false;
            }
        }
        return _protocol == LinkFrame.EtherTypeIPv4 || (_protocol == LinkFrame.EtherTypeIPv6 && _bytes.Length > 6 && _bytes[6] == TcpSegment.Protocol);
    }

    private bool TryReadLink(LinkType link)
    {
        var (protocolAt, length) = LinkFrame.Tagged(link);
        if (length > 0)
        {
            return TryEnter(protocolAt, length);
        }
        if (!LinkFrame.TryRead(link, _bytes, out var header))
        {
            return false;
        }
        _protocol = header.Protocol;
        return TrySkip(header.HeaderLength);
    }

    /// <summary>Goes on behind a header that names the next protocol.</summary>
    private bool TryEnter(int protocolAt, int length)
    {
        if (_bytes.Length < length)
        {
            return false;
        }
        _protocol = UInt16(_bytes[protocolAt..]);
        return TrySkip(length);
    }

    private bool TrySkip(int length)
    {
        if (length > _bytes.Length)
        {
            return false;
        }
        _bytes = _bytes[length..];
        _onWire -= length;
        return true;
    }

    /// <summary>Leaves out what is behind the packet: padding, checksums.</summary>
    private void Trim(int length)
    {
        _onWire = Math.Min(_onWire, length);
        _bytes = _bytes[..Math.Min(_bytes.Length, length)];
    }

    /// <summary>Whether there is a packet whose version and lengths fit, or an ARP message, by itself or in an Ethernet frame.</summary>
    private readonly bool HoldsPacket(ushort protocol, int at)
    {
        ReadOnlySpan<byte> arpOverEthernet = [0, 1, 8, 0, 6, 4];   // for IPv4, with the lengths of both addresses
        if (protocol == EthernetFrame)
        {
            // No group is a source.
            if (_bytes.Length < at + 14 || (_bytes[at + 6] & 1) != 0)
            {
                return false;
            }
            protocol = UInt16(_bytes[(at + 12)..]);
            at += 14;
            for (var tags = 0; tags < 2 && LinkFrame.IsTag(protocol) && _bytes.Length >= at + 4; tags++)
            {
                protocol = UInt16(_bytes[(at + 2)..]);
                at += 4;
            }
        }
        var length = _onWire - at;
        var rest = _bytes[Math.Min(at, _bytes.Length)..];
        return protocol switch
        {
            LinkFrame.EtherTypeIPv4 or LinkFrame.EtherTypeIPv6 => PacketLength(protocol, rest) is > 0 and var packet && packet <= length,
            Arp => rest.Length >= 8 && rest[..6].SequenceEqual(arpOverEthernet),
            _ => false,
        };
    }

    /// <summary>The length that a packet of this protocol says it has; 0 where it is none, or leaves its length open.</summary>
    private static int PacketLength(ushort protocol, ReadOnlySpan<byte> packet)
    {
        switch (protocol)
        {
            case LinkFrame.EtherTypeIPv4 when packet.Length >= IPv4Packet.FixedLength:
                var four = new IPv4Packet(packet);
                return packet[0] >> 4 == 4 && four.HeaderLength >= IPv4Packet.FixedLength && four.TotalLength >= four.HeaderLength ? four.TotalLength : 0;
            case LinkFrame.EtherTypeIPv6 when packet.Length >= IPv6Packet.FixedLength:
                var six = new IPv6Packet(packet);
                return packet[0] >> 4 == 6 && six.PayloadLength > 0 ? IPv6Packet.FixedLength + six.PayloadLength : 0;
            default:
                return 0;
        }
    }

    private FrameContent? Enter(EncapsulationKind kind, long id, UInt128 source, UInt128 destination, int headerLength, ushort protocol)
    {
        if (!TryAdd(kind, id, source, destination))
        {
            return Stop(OtherContent.NestedTooDeep);
        }
        return TrySkip(headerLength) ? GoOn(protocol) : Short();
    }

    private FrameContent? GoOn(ushort protocol)
    {
        _protocol = protocol;
        return null;
    }

    private bool TryAdd(EncapsulationKind kind, long id, UInt128 source, UInt128 destination)
    {
        if (_count == MaxLayers)
        {
            return false;
        }
        _layers[_count++] = new EncapsulationLayer(kind, id, source, destination);
        return true;
    }

    private FrameContent? Stop(OtherContent other)
    {
        _other = other;
        return FrameContent.Other;
    }

    /// <summary>Too few bytes for a header: because the capture was cut, or because there never were more.</summary>
    private FrameContent? Short() => _bytes.Length < _onWire ? FrameContent.Truncated : Stop(OtherContent.Unknown);

    private static ushort UInt16(ReadOnlySpan<byte> bytes) => BinaryPrimitives.ReadUInt16BigEndian(bytes);
}
