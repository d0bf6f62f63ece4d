using System.Buffers.Binary;

namespace Keepalive.Linux.Packets;

/// <summary>The link layer of a captured frame: what protocol it carries, and from where on.</summary>
internal readonly ref struct LinkFrame
{
    internal const ushort EtherTypeIPv4 = 0x0800;
    internal const ushort EtherTypeIPv6 = 0x86DD;
    private const ushort EtherTypeVlan = 0x8100;
    private const ushort EtherTypeServiceVlan = 0x88A8;
    private const ushort EtherTypeOldServiceVlan = 0x9100;

    private LinkFrame(ushort protocol, int headerLength)
    {
        Protocol = protocol;
        HeaderLength = headerLength;
    }

    /// <summary>An EtherType; 0 where there is none that matters here.</summary>
    internal ushort Protocol { get; }

    /// <summary>Bytes in front of what it carries.</summary>
    internal int HeaderLength { get; }

    /// <summary>Reads the headers; false when the frame was cut before their end.</summary>
    internal static bool TryRead(LinkType link, ReadOnlySpan<byte> frame, out LinkFrame header)
    {
        header = default;
        switch (link)
        {
            case LinkType.Ethernet:
                return TryReadTagged(frame, protocolAt: 12, headerLength: 14, out header);
            case LinkType.LinuxCooked:
                return TryReadTagged(frame, protocolAt: 14, headerLength: 16, out header);
            case LinkType.LinuxCooked2:
                return TryReadTagged(frame, protocolAt: 0, headerLength: 20, out header);
            case LinkType.Null or LinkType.Loop:
                if (frame.Length < 4)
                {
                    return false;
                }
                header = new LinkFrame(OfFamily(frame), 4);
                return true;
            case LinkType.Raw or LinkType.RawDlt or LinkType.RawOpenBsd or LinkType.IPv4 or LinkType.IPv6:
                if (frame.IsEmpty)
                {
                    return false;
                }
                header = new LinkFrame((frame[0] >> 4) switch { 4 => EtherTypeIPv4, 6 => EtherTypeIPv6, _ => 0 }, 0);
                return true;
            default:
                header = new LinkFrame(0, 0);
                return true;
        }
    }

    /// <summary>Follows VLAN tags (IEEE 802.1Q), however many: each has the next protocol in its last two of four bytes.</summary>
    private static bool TryReadTagged(ReadOnlySpan<byte> frame, int protocolAt, int headerLength, out LinkFrame header)
    {
        header = default;
        if (frame.Length < headerLength)
        {
            return false;
        }
        var protocol = BinaryPrimitives.ReadUInt16BigEndian(frame[protocolAt..]);
        while (protocol is EtherTypeVlan or EtherTypeServiceVlan or EtherTypeOldServiceVlan)
        {
            if (frame.Length < headerLength + 4)
            {
                return false;
            }
            protocol = BinaryPrimitives.ReadUInt16BigEndian(frame[(headerLength + 2)..]);
            headerLength += 4;
        }
        header = new LinkFrame(protocol, headerLength);
        return true;
    }

    /// <summary>The family is in the capturing host's byte order and numbering: AF_INET6 is 10, 24, 28 or 30. None is above 255.</summary>
    private static ushort OfFamily(ReadOnlySpan<byte> frame)
    {
        var family = BinaryPrimitives.ReadUInt32LittleEndian(frame);
        family = family > 0xFFFF ? BinaryPrimitives.ReverseEndianness(family) : family;
        return family switch { 2 => EtherTypeIPv4, 10 or 24 or 28 or 30 => EtherTypeIPv6, _ => 0 };
    }
}
