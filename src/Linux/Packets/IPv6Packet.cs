using System.Buffers.Binary;

namespace Keepalive.Linux.Packets;

/// <summary>An IPv6 header (RFC 8200) over captured bytes, which may end anywhere behind it.</summary>
internal readonly ref struct IPv6Packet
{
    internal const int FixedLength = 40;

    private const byte HopByHop = 0;
    private const byte Routing = 43;
    private const byte Fragment = 44;
    private const byte Authentication = 51;
    private const byte DestinationOptions = 60;
    private const byte Mobility = 135;
    private const byte HostIdentity = 139;
    private const byte Shim6 = 140;

    private readonly ReadOnlySpan<byte> _bytes;

    /// <param name="bytes">At least <see cref="FixedLength"/> of them.</param>
    internal IPv6Packet(ReadOnlySpan<byte> bytes) => _bytes = bytes;

    /// <summary>Everything behind the fixed header; 0 in a jumbogram, and where segmentation offload has yet to set it.</summary>
    internal int PayloadLength => BinaryPrimitives.ReadUInt16BigEndian(_bytes[4..]);

    internal PacketMarks Marks => new(0, _bytes[7]);

    internal UInt128 Source => BinaryPrimitives.ReadUInt128BigEndian(_bytes[8..]);

    internal UInt128 Destination => BinaryPrimitives.ReadUInt128BigEndian(_bytes[24..]);

    /// <summary>Walks the extension headers to the first that is none.</summary>
    /// <param name="protocol">The upper protocol; 59 (none) behind a later fragment, whose protocol's header is elsewhere.</param>
    /// <param name="offset">Where it begins.</param>
    /// <param name="isAuthenticated">Whether one of them is an authentication header.</param>
    /// <returns>False when the captured bytes end before it.</returns>
    internal bool TryFindUpperLayer(out byte protocol, out int offset, out bool isAuthenticated)
    {
        const byte none = 59;
        isAuthenticated = false;
        protocol = _bytes[6];
        offset = FixedLength;
        while (protocol is HopByHop or Routing or Fragment or Authentication or DestinationOptions or Mobility or HostIdentity or Shim6)
        {
            if (offset + 8 > _bytes.Length)
            {
                return false;
            }
            var header = _bytes[offset..];
            var length = protocol switch
            {
                Fragment => 8,
                Authentication => (header[1] + 2) * 4,   // RFC 4302, 2.2
                _ => (header[1] + 1) * 8,
            };
            if (protocol == Fragment && (BinaryPrimitives.ReadUInt16BigEndian(header[2..]) & 0xFFF8) != 0)
            {
                protocol = none;
                return true;
            }
            isAuthenticated |= protocol == Authentication;
            protocol = header[0];
            offset += length;
        }
        return true;
    }
}
