using System.Buffers.Binary;

namespace Keepalive.Linux.Packets;

/// <content>VLAN tags, and what an EtherType names beside IP: MPLS, PPPoE, MACsec.</content>
public ref partial struct TunnelReader
{
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
}
