using System.Buffers.Binary;
using Keepalive.Linux.Sockets;

namespace Keepalive.Linux.Packets;

/// <content>IPv4 and IPv6, and what a protocol number names: IP in IP, AH, GRE and ERSPAN.</content>
public ref partial struct TunnelReader
{
    private const byte IcmpProtocol = 1;
    private const byte IPv4Protocol = 4;
    private const byte UdpProtocol = 17;
    private const byte IPv6Protocol = 41;
    private const byte GreProtocol = 47;
    private const byte EspProtocol = 50;
    private const byte AuthenticationProtocol = 51;
    private const byte Icmp6Protocol = 58;
    private const byte NoneProtocol = 59;
    private const byte IpcompProtocol = 108;
    private const byte L2tpProtocol = 115;
    private const byte SctpProtocol = 132;
    private const byte MplsProtocol = 137;

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
        return ReadUpper(protocol, offset, length, source, destination, packet.Marks, isAuthenticated, isIPv6: false, out segment);
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
        return ReadUpper(protocol, offset, length, packet.Source, packet.Destination, packet.Marks, isAuthenticated, isIPv6: true, out segment);
    }

    private FrameContent? ReadUpper(
        byte protocol, int offset, int length, UInt128 source, UInt128 destination, PacketMarks marks, bool isAuthenticated, bool isIPv6, out TcpSegment segment)
    {
        segment = default;
        if (isAuthenticated && !TryAdd(EncapsulationKind.Authentication, -1, 0, 0))
        {
            return Stop(OtherContent.NestedTooDeep);
        }
        if (protocol == TcpSegment.Protocol)
        {
            return TcpSegment.ReadTcp(
                _bytes, offset, length, _onWire, new SocketEndpoint(source, 0), new SocketEndpoint(destination, 0), marks, out segment);
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
            IpcompProtocol => Stop(OtherContent.Ipcomp),
            L2tpProtocol => Stop(OtherContent.L2tp),
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
}
