using System.Buffers.Binary;

namespace Keepalive.Linux.Packets;

/// <summary>The link layer of a captured frame: what protocol it carries, and from where on.</summary>
internal readonly ref struct LinkFrame
{
    internal const int EthernetLength = 14;
    internal const ushort EtherTypeIPv4 = 0x0800;
    internal const ushort EtherTypeIPv6 = 0x86DD;
    internal const ushort EtherTypeVlan = 0x8100;
    internal const ushort EtherTypeServiceVlan = 0x88A8;
    internal const ushort EtherTypeOldServiceVlan = 0x9100;

    private LinkFrame(ushort protocol, int headerLength, bool isTagged = false)
    {
        Protocol = protocol;
        HeaderLength = headerLength;
        IsTagged = isTagged;
    }

    /// <summary>An EtherType; 0 where there is none that matters here.</summary>
    internal ushort Protocol { get; }

    /// <summary>Bytes in front of what it carries.</summary>
    internal int HeaderLength { get; }

    /// <summary>Whether there are VLAN tags in it.</summary>
    internal bool IsTagged { get; }

    /// <summary>For link types whose header can be followed by VLAN tags: its length, and where in it the next protocol is.</summary>
    internal static (int ProtocolAt, int Length) Tagged(LinkType link) => link switch
    {
        LinkType.Ethernet => (12, EthernetLength),
        LinkType.LinuxCooked => (14, 16),
        LinkType.LinuxCooked2 => (0, 20),
        _ => default,
    };

    /// <summary>Whether the capture ends within the headers that <see cref="TryRead"/> did not find as a whole. A firewall rule may log a packet without
    /// its content.</summary>
    internal static bool IsCut(LinkType link, ReadOnlySpan<byte> frame, int wireLength) => link != LinkType.NetfilterLog || frame.Length < wireLength;

    internal static bool IsTag(ushort protocol) => protocol is EtherTypeVlan or EtherTypeServiceVlan or EtherTypeOldServiceVlan;

    /// <summary>Whether an Ethernet frame has this protocol right behind its addresses.</summary>
    internal static bool IsUntagged(ReadOnlySpan<byte> frame, ushort protocol) =>
        frame.Length >= EthernetLength && BinaryPrimitives.ReadUInt16BigEndian(frame[12..]) == protocol;

    /// <summary>Reads the headers; false when the frame was cut before their end.</summary>
    internal static bool TryRead(LinkType link, ReadOnlySpan<byte> frame, out LinkFrame header)
    {
        header = default;
        switch (link)
        {
            case LinkType.Ethernet:
                return TryReadTagged(frame, protocolAt: 12, EthernetLength, out header);
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
                header = new LinkFrame(OfVersion(frame[0]), 0);
                return true;
            case LinkType.NetfilterLog:
                return TryReadLogged(frame, out header);
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
        var untagged = headerLength;
        while (IsTag(protocol))
        {
            if (frame.Length < headerLength + 4)
            {
                return false;
            }
            protocol = BinaryPrimitives.ReadUInt16BigEndian(frame[(headerLength + 2)..]);
            headerLength += 4;
        }
        header = new LinkFrame(protocol, headerLength, isTagged: headerLength != untagged);
        return true;
    }

    /// <summary>Finds the packet among the attributes of one that a firewall rule logged: length, type, content, padded to four bytes
    /// (linux/netfilter/nfnetlink_log.h). False also where there is none.</summary>
    private static bool TryReadLogged(ReadOnlySpan<byte> frame, out LinkFrame header)
    {
        const int fixedLength = 4, attributeHeader = 4;
        const ushort payload = 9;
        header = default;
        if (frame.Length < fixedLength + attributeHeader)
        {
            return false;
        }
        // In the byte order of the capturing host, which the first attribute's type tells: none is above 255.
        var big = frame[fixedLength + 2] == 0;
        var at = fixedLength;
        while (at + attributeHeader <= frame.Length)
        {
            var (length, type) = (UInt16(frame[at..], big), UInt16(frame[(at + 2)..], big));
            if (type == payload && length > attributeHeader)
            {
                at += attributeHeader;
                header = at < frame.Length ? new LinkFrame(OfVersion(frame[at]), at) : default;
                return at < frame.Length;
            }
            if (length < attributeHeader)
            {
                break;
            }
            at += (length + 3) & ~3;
        }
        return false;
    }

    private static ushort UInt16(ReadOnlySpan<byte> bytes, bool big) =>
        big ? BinaryPrimitives.ReadUInt16BigEndian(bytes) : BinaryPrimitives.ReadUInt16LittleEndian(bytes);

    private static ushort OfVersion(byte first) => (first >> 4) switch { 4 => EtherTypeIPv4, 6 => EtherTypeIPv6, _ => 0 };

    /// <summary>The family is in the capturing host's byte order and numbering: AF_INET6 is 10, 24, 28 or 30. None is above 255.</summary>
    private static ushort OfFamily(ReadOnlySpan<byte> frame)
    {
        var family = BinaryPrimitives.ReadUInt32LittleEndian(frame);
        family = family > 0xFFFF ? BinaryPrimitives.ReverseEndianness(family) : family;
        return family switch { 2 => EtherTypeIPv4, 10 or 24 or 28 or 30 => EtherTypeIPv6, _ => 0 };
    }
}
