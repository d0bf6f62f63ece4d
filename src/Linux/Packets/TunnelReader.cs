using System.Buffers.Binary;
using Keepalive.Linux.Sockets;

namespace Keepalive.Linux.Packets;

/// <summary>Looks for the TCP segment of a frame inside its VLANs and tunnels, from the outside in. Whatever the bytes, reading them never throws.</summary>
/// <remarks>
/// <code>
///   frame │ Ethernet, VLAN 7 │ IPv4 │ UDP │ VXLAN 42 │ Ethernet │ IPv4 │ TCP, options │ payload
///           └── layer 0 ───┘  └────── layer 1 ──────┘            └────── segment ───────┘
/// </code>
/// Not for every frame: <see cref="TcpSegment.TryRead(LinkType, ReadOnlySpan{byte}, int, out TcpSegment, out bool)"/> is faster where there are none.
/// Only the caller's span is written to.
/// </remarks>
/// <param name="layers">Receives the layers, at least <see cref="MaxLayers"/>.</param>
public ref struct TunnelReader(Span<EncapsulationLayer> layers)
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

    private const byte IcmpProtocol = 1;
    private const byte IPv4Protocol = 4;
    private const byte UdpProtocol = 17;
    private const byte IPv6Protocol = 41;
    private const byte GreProtocol = 47;
    private const byte EspProtocol = 50;
    private const byte AuthenticationProtocol = 51;
    private const byte Icmp6Protocol = 58;
    private const byte NoneProtocol = 59;
    private const byte SctpProtocol = 132;
    private const byte MplsProtocol = 137;

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

    private FrameContent? ReadEthernet() => TryEnter(protocolAt: 12, length: 14) ? null : Short();

    private FrameContent? ReadTag()
    {
        if (_bytes.Length < 4)
        {
            return Short();
        }
        // 0 is no VLAN: the tag has only a priority.
        var id = UInt16(_bytes) & 0xFFF;
        return id != 0 && !TryAdd(EncapsulationKind.Vlan, id, 0, 0) ? Stop(OtherContent.NestedTooDeep) : TryEnter(protocolAt: 2, length: 4) ? null : Short();
    }

    private FrameContent? ReadMpls()
    {
        for (var last = false; !last;)
        {
            if (_bytes.Length < 4)
            {
                return Short();
            }
            var entry = BinaryPrimitives.ReadUInt32BigEndian(_bytes);
            last = (entry & 0x100) != 0;
            if (last && !TryAdd(EncapsulationKind.Mpls, entry >> 12, 0, 0))
            {
                return Stop(OtherContent.NestedTooDeep);
            }
            TrySkip(4);
        }
        if (_bytes.IsEmpty)
        {
            return Short();
        }
        // Nothing names the next protocol. Only the ends know whether it is an Ethernet frame, with or without a control word (RFC 4448), or a packet.
        if (HoldsPacket(EthernetFrame, 0))
        {
            return GoOn(EthernetFrame);
        }
        return (_bytes[0] >> 4) switch
        {
            4 => GoOn(LinkFrame.EtherTypeIPv4),
            6 => GoOn(LinkFrame.EtherTypeIPv6),
            0 => TrySkip(4) ? GoOn(EthernetFrame) : Short(),
            _ => GoOn(EthernetFrame),
        };
    }

    private FrameContent? ReadPppoe()
    {
        const ushort ipv4 = 0x0021, ipv6 = 0x0057;
        if (_bytes.Length < 8)
        {
            return Short();
        }
        var (session, length) = (UInt16(_bytes[2..]), UInt16(_bytes[4..]));
        // An odd first byte is the whole protocol (RFC 1661, 6.5).
        var isShort = (_bytes[6] & 1) != 0;
        var protocol = isShort ? _bytes[6] : UInt16(_bytes[6..]);
        if (_bytes[0] != 0x11 || _bytes[1] != 0 || protocol is not (ipv4 or ipv6))
        {
            return Stop(OtherContent.Unknown);
        }
        Trim(6 + length);
        return Enter(EncapsulationKind.Pppoe, session, 0, 0, isShort ? 7 : 8, protocol == ipv4 ? LinkFrame.EtherTypeIPv4 : LinkFrame.EtherTypeIPv6);
    }

    /// <summary>IEEE 802.1AE: what is only authenticated is readable.</summary>
    private FrameContent? ReadMacsec()
    {
        const byte encrypted = 0x0C, hasChannel = 0x20;
        if (_bytes.Length < 6)
        {
            return Short();
        }
        if ((_bytes[0] & encrypted) != 0)
        {
            return Stop(OtherContent.Macsec);
        }
        var length = (_bytes[0] & hasChannel) != 0 ? 14 : 6;
        return TryEnter(length, length + 2) ? null : Short();
    }

    private FrameContent? ReadIPv4(out TcpSegment segment)
    {
        segment = default;
        if (_bytes.Length < IPv4Packet.FixedLength)
        {
            return Short();
        }
        var packet = new IPv4Packet(_bytes);
        var (offset, length) = (packet.HeaderLength, packet.TotalLength == 0 ? _onWire : packet.TotalLength);
        if (_bytes[0] >> 4 != 4 || offset < IPv4Packet.FixedLength || length < offset)
        {
            return Stop(OtherContent.Unknown);
        }
        if (packet.IsLaterFragment)
        {
            return Stop(OtherContent.Fragment);
        }
        var (protocol, isAuthenticated) = (packet.Protocol, false);
        while (protocol == AuthenticationProtocol)
        {
            if (_bytes.Length < offset + 8)
            {
                return Short();
            }
            isAuthenticated = true;
            protocol = _bytes[offset];
            offset += (_bytes[offset + 1] + 2) * 4;
        }
        var (source, destination) = (SocketEndpoint.FromIPv4(packet.Source, 0).Address, SocketEndpoint.FromIPv4(packet.Destination, 0).Address);
        return ReadUpper(protocol, offset, length, source, destination, packet.Identification, isAuthenticated, isIPv6: false, out segment);
    }

    private FrameContent? ReadIPv6(out TcpSegment segment)
    {
        segment = default;
        if (_bytes.Length < IPv6Packet.FixedLength)
        {
            return Short();
        }
        var packet = new IPv6Packet(_bytes);
        if (_bytes[0] >> 4 != 6)
        {
            return Stop(OtherContent.Unknown);
        }
        if (!packet.TryFindUpperLayer(out var protocol, out var offset, out var isAuthenticated))
        {
            return Short();
        }
        var length = packet.PayloadLength == 0 ? _onWire : IPv6Packet.FixedLength + packet.PayloadLength;
        return ReadUpper(protocol, offset, length, packet.Source, packet.Destination, 0, isAuthenticated, isIPv6: true, out segment);
    }

    private FrameContent? ReadUpper(
        byte protocol, int offset, int length, UInt128 source, UInt128 destination, ushort identification, bool isAuthenticated, bool isIPv6, out TcpSegment segment)
    {
        segment = default;
        if (isAuthenticated && !TryAdd(EncapsulationKind.Authentication, -1, 0, 0))
        {
            return Stop(OtherContent.NestedTooDeep);
        }
        if (protocol == TcpSegment.Protocol)
        {
            return TcpSegment.ReadTcp(_bytes, offset, length, _onWire, source, destination, identification, out segment);
        }
        if (length < offset)
        {
            return Stop(OtherContent.Unknown);
        }
        Trim(length);
        // The front of it may be missing altogether.
        _bytes = _bytes[Math.Min(offset, _bytes.Length)..];
        _onWire = Math.Max(0, _onWire - offset);
        return protocol switch
        {
            UdpProtocol => ReadUdp(source, destination),
            GreProtocol => ReadGre(source, destination),
            IPv4Protocol => Enter(
                isIPv6 ? EncapsulationKind.IPv4InIPv6 : EncapsulationKind.IPv4InIPv4, -1, source, destination, 0, LinkFrame.EtherTypeIPv4),
            IPv6Protocol => Enter(
                isIPv6 ? EncapsulationKind.IPv6InIPv6 : EncapsulationKind.IPv6InIPv4, -1, source, destination, 0, LinkFrame.EtherTypeIPv6),
            MplsProtocol => GoOn(Mpls),
            EspProtocol => Stop(OtherContent.Esp),
            IcmpProtocol or Icmp6Protocol => Stop(OtherContent.Icmp),
            SctpProtocol => Stop(OtherContent.Sctp),
            NoneProtocol => Stop(OtherContent.Fragment),
            _ => Stop(OtherContent.Unknown),
        };
    }

    private FrameContent? ReadGre(UInt128 source, UInt128 destination)
    {
        const ushort hasChecksum = 0x8000, hasRouting = 0x4000, hasKey = 0x2000, hasSequence = 0x1000, version = 7;
        if (_bytes.Length < 4)
        {
            return Short();
        }
        var (flags, protocol) = (UInt16(_bytes), UInt16(_bytes[2..]));
        if ((flags & (hasRouting | version)) != 0)
        {
            return Stop(OtherContent.Gre);
        }
        var keyAt = (flags & hasChecksum) != 0 ? 8 : 4;
        var length = keyAt + ((flags & hasKey) != 0 ? 4 : 0) + ((flags & hasSequence) != 0 ? 4 : 0);
        if (_bytes.Length < length)
        {
            return Short();
        }
        long id = (flags & hasKey) != 0 ? BinaryPrimitives.ReadUInt32BigEndian(_bytes[keyAt..]) : -1;
        switch (protocol)
        {
            case LinkFrame.EtherTypeIPv4 or LinkFrame.EtherTypeIPv6 or EthernetFrame or Mpls or MplsUpstream:
                return Enter(EncapsulationKind.Gre, id, source, destination, length, protocol);
            case Erspan when (flags & hasSequence) == 0:   // type I has no header of its own
                return Enter(EncapsulationKind.Erspan, id, source, destination, length, EthernetFrame);
            case Erspan:
                return ReadErspan(source, destination, length, headerLength: 8);
            case Erspan3:
                return ReadErspan(source, destination, length, headerLength: 12);
            default:
                return Stop(OtherContent.Gre);
        }
    }

    /// <summary>ERSPAN types II and III (draft-foschiano-erspan).</summary>
    private FrameContent? ReadErspan(UInt128 source, UInt128 destination, int at, int headerLength)
    {
        if (_bytes.Length < at + headerLength)
        {
            return Short();
        }
        var header = _bytes[at..];
        var hasMore = headerLength == 12 && (header[11] & 1) != 0;
        return Enter(
            EncapsulationKind.Erspan, UInt16(header[2..]) & 0x3FF, source, destination, at + headerLength + (hasMore ? 8 : 0), EthernetFrame);
    }

    private FrameContent? ReadUdp(UInt128 source, UInt128 destination)
    {
        const ushort vxlan = 4789, vxlanOfLinux = 8472, vxlanGpe = 4790, geneve = 6081, nat = 4500;
        const int headerLength = 8;
        if (_bytes.Length < headerLength)
        {
            return Stop(OtherContent.Udp);
        }
        var (from, to, length) = (UInt16(_bytes), UInt16(_bytes[2..]), UInt16(_bytes[4..]));
        TrySkip(headerLength);
        if (length >= headerLength)
        {
            Trim(length - headerLength);
        }
        if (IsVxlan(to is vxlan or vxlanOfLinux or vxlanGpe, out var protocol))
        {
            return Enter(EncapsulationKind.Vxlan, BinaryPrimitives.ReadUInt32BigEndian(_bytes[4..]) >> 8, source, destination, 8, protocol);
        }
        if (IsGeneve(to == geneve, out protocol, out var optionsLength))
        {
            return Enter(EncapsulationKind.Geneve, BinaryPrimitives.ReadUInt32BigEndian(_bytes[4..]) >> 8, source, destination, 8 + optionsLength, protocol);
        }
        if (IsWireGuard())
        {
            return Stop(OtherContent.WireGuard);
        }
        // RFC 3948: an SPI, never 0 to 255, where IKE has a 0.
        var isEsp = (from == nat || to == nat) && _bytes.Length >= 4 && BinaryPrimitives.ReadUInt32BigEndian(_bytes) > 255;
        return Stop(isEsp ? OtherContent.Esp : OtherContent.Udp);
    }

    /// <summary>Whether this is VXLAN: at a port that is its own by the header's flag, elsewhere only with nothing in reserved bits and a packet whose
    /// lengths fit.</summary>
    private readonly bool IsVxlan(bool isItsPort, out ushort protocol)
    {
        const byte hasNetwork = 0x08, hasProtocol = 0x04, hasGroup = 0x80, groupFlags = 0x48;
        protocol = 0;
        if (_bytes.Length < 8 || (_bytes[0] & hasNetwork) == 0)
        {
            return false;
        }
        var flags = _bytes[0];
        protocol = (flags & hasProtocol) == 0
            ? EthernetFrame
            : _bytes[3] switch { 1 => LinkFrame.EtherTypeIPv4, 2 => LinkFrame.EtherTypeIPv6, 3 => EthernetFrame, _ => (ushort)0 };
        if (isItsPort)
        {
            return protocol != 0;
        }
        var isClean = flags switch
        {
            hasNetwork => _bytes[1] == 0 && _bytes[2] == 0 && _bytes[3] == 0,
            hasNetwork | hasProtocol => _bytes[1] == 0 && _bytes[2] == 0,
            hasNetwork | hasGroup => (_bytes[1] & ~groupFlags) == 0,
            _ => false,
        };
        return isClean && _bytes[7] == 0 && protocol != 0 && HoldsPacket(protocol, 8);
    }

    /// <summary>The same for Geneve.</summary>
    private readonly bool IsGeneve(bool isItsPort, out ushort protocol, out int optionsLength)
    {
        (protocol, optionsLength) = (0, 0);
        if (_bytes.Length < 8 || _bytes[0] >> 6 != 0)
        {
            return false;
        }
        protocol = UInt16(_bytes[2..]);
        optionsLength = (_bytes[0] & 0x3F) * 4;
        return protocol is EthernetFrame or LinkFrame.EtherTypeIPv4 or LinkFrame.EtherTypeIPv6
            && (isItsPort || ((_bytes[1] & 0x3F) == 0 && _bytes[7] == 0 && HoldsPacket(protocol, 8 + optionsLength)));
    }

    /// <summary>Whether this is a message of WireGuard, at whichever port: its type, three bytes of 0, and the only length that the type has.</summary>
    private readonly bool IsWireGuard() => _bytes.Length >= 16 && BinaryPrimitives.ReadUInt32LittleEndian(_bytes) switch
    {
        1 => _onWire == 148,
        2 => _onWire == 92,
        3 => _onWire == 64,
        // Padded to 16 bytes; and no counter ever gets that far.
        4 => _onWire >= 32 && _onWire % 16 == 0 && BinaryPrimitives.ReadUInt64LittleEndian(_bytes[8..]) >> 48 == 0,
        _ => false,
    };

    /// <summary>Whether there is a packet whose version and lengths fit, by itself or in an Ethernet frame.</summary>
    private readonly bool HoldsPacket(ushort protocol, int at)
    {
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
        switch (protocol)
        {
            case LinkFrame.EtherTypeIPv4 when rest.Length >= IPv4Packet.FixedLength:
                var four = new IPv4Packet(rest);
                return rest[0] >> 4 == 4 && four.HeaderLength >= IPv4Packet.FixedLength && four.TotalLength >= four.HeaderLength && four.TotalLength <= length;
            case LinkFrame.EtherTypeIPv6 when rest.Length >= IPv6Packet.FixedLength:
                var six = new IPv6Packet(rest);
                return rest[0] >> 4 == 6 && six.PayloadLength > 0 && IPv6Packet.FixedLength + six.PayloadLength <= length;
            default:
                return false;
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
