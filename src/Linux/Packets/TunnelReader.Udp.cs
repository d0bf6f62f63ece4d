using System.Buffers.Binary;

namespace Keepalive.Linux.Packets;

/// <content>Tunnels in UDP: VXLAN, Geneve, GUE, foo over UDP, WireGuard, ESP.</content>
public ref partial struct TunnelReader
{
    private FrameContent? ReadUdp(UInt128 source, UInt128 destination)
    {
        const ushort vxlan = 4789, vxlanOfLinux = 8472, vxlanGpe = 4790, geneve = 6081, gue = 6080, greInUdp = 4754, mplsInUdp = 6635, nat = 4500;
        const int headerLength = 8;
        if (_bytes.Length < headerLength)
        {
            return Stop(OtherContent.Udp);
        }
        var (from, to, length) = (UInt16(_bytes), UInt16(_bytes[2..]), UInt16(_bytes[4..]));
        UdpPort = to;
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
        if (IsPacketAlone(out protocol))
        {
            return Enter(to == gue ? EncapsulationKind.Gue : EncapsulationKind.Fou, -1, source, destination, 0, protocol);
        }
        if (to == gue)
        {
            return ReadGue(source, destination);
        }
        if (to == greInUdp || IsGre())
        {
            return TryAdd(EncapsulationKind.Fou, -1, source, destination) ? ReadGre(source, destination) : Stop(OtherContent.NestedTooDeep);
        }
        if (to == mplsInUdp)
        {
            return Enter(EncapsulationKind.Fou, -1, source, destination, 0, Mpls);
        }
        if (IsWireGuard())
        {
            return Stop(OtherContent.WireGuard);
        }
        // RFC 3948: an SPI, never 0 to 255, where IKE has a 0.
        var isEsp = (from == nat || to == nat) && _bytes.Length >= 4 && BinaryPrimitives.ReadUInt32BigEndian(_bytes) > 255;
        return Stop(isEsp ? OtherContent.Esp : OfPorts(from, to));
    }

    /// <summary>A tunnel that is not looked into, by the port that IANA gave to it: the answers of some come from there.</summary>
    private static OtherContent OfPorts(ushort from, ushort to)
    {
        var content = OfPort(to);
        return content == OtherContent.Udp ? OfPort(from) : content;
    }

    private static OtherContent OfPort(ushort port) => port switch
    {
        4789 or 4790 or 8472 => OtherContent.Vxlan,
        6081 => OtherContent.Geneve,
        1194 => OtherContent.OpenVpn,
        1701 => OtherContent.L2tp,
        2152 => OtherContent.GtpU,
        4341 => OtherContent.Lisp,
        5247 => OtherContent.Capwap,
        _ => OtherContent.Udp,
    };

    /// <summary>Generic UDP encapsulation (draft-ietf-intarea-gue, 3.2) with a header of its own; without one it is a packet alone.</summary>
    private FrameContent? ReadGue(UInt128 source, UInt128 destination)
    {
        const byte variant = 0xC0, isControl = 0x20, wordsOfOptions = 0x1F;
        if (_bytes.Length < 4)
        {
            return Short();
        }
        var (protocol, length) = (_bytes[1], 4 + ((_bytes[0] & wordsOfOptions) * 4));
        if ((_bytes[0] & (variant | isControl)) != 0 || protocol is not (IPv4Protocol or IPv6Protocol or GreProtocol))
        {
            return Stop(OtherContent.Gue);
        }
        if (protocol != GreProtocol)
        {
            return Enter(EncapsulationKind.Gue, -1, source, destination, length, protocol == IPv4Protocol ? LinkFrame.EtherTypeIPv4 : LinkFrame.EtherTypeIPv6);
        }
        if (!TryAdd(EncapsulationKind.Gue, -1, source, destination))
        {
            return Stop(OtherContent.NestedTooDeep);
        }
        return TrySkip(length) ? ReadGre(source, destination) : Short();
    }

    /// <summary>Whether this is nothing but a packet, at whichever port: foo over UDP, as Linux calls it. Its length must be exactly what there is.</summary>
    private readonly bool IsPacketAlone(out ushort protocol)
    {
        protocol = _bytes.IsEmpty ? (ushort)0 : (_bytes[0] >> 4) switch { 4 => LinkFrame.EtherTypeIPv4, 6 => LinkFrame.EtherTypeIPv6, _ => (ushort)0 };
        return protocol != 0 && PacketLength(protocol, _bytes) == _onWire;
    }

    /// <summary>The same behind a GRE header without a sequence number.</summary>
    private readonly bool IsGre()
    {
        const ushort hasKey = 0x2000;
        if (_bytes.Length < 4 || (UInt16(_bytes) & ~hasKey) != 0)
        {
            return false;
        }
        var length = UInt16(_bytes) == hasKey ? 8 : 4;
        return _bytes.Length > length && UInt16(_bytes[2..]) switch
        {
            LinkFrame.EtherTypeIPv4 => PacketLength(LinkFrame.EtherTypeIPv4, _bytes[length..]) == _onWire - length,
            LinkFrame.EtherTypeIPv6 => PacketLength(LinkFrame.EtherTypeIPv6, _bytes[length..]) == _onWire - length,
            EthernetFrame => HoldsPacket(EthernetFrame, length),
            _ => false,
        };
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
}
