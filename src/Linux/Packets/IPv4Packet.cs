using System.Buffers.Binary;

namespace Keepalive.Linux.Packets;

/// <summary>An IPv4 header (RFC 791) over captured bytes, which may end anywhere behind its fixed part.</summary>
internal readonly ref struct IPv4Packet
{
    internal const int FixedLength = 20;

    private readonly ReadOnlySpan<byte> _bytes;

    /// <param name="bytes">At least <see cref="FixedLength"/> of them.</param>
    internal IPv4Packet(ReadOnlySpan<byte> bytes) => _bytes = bytes;

    /// <summary>With options; less than <see cref="FixedLength"/> when the packet is not one.</summary>
    internal int HeaderLength => (_bytes[0] & 15) * 4;

    /// <summary>Header and payload; 0 where segmentation offload has yet to set it.</summary>
    internal int TotalLength => BinaryPrimitives.ReadUInt16BigEndian(_bytes[2..]);

    internal PacketMarks Marks => new(BinaryPrimitives.ReadUInt16BigEndian(_bytes[4..]), _bytes[8]);

    /// <summary>Whether it holds a later part of a datagram: no header of the next protocol.</summary>
    internal bool IsLaterFragment => (BinaryPrimitives.ReadUInt16BigEndian(_bytes[6..]) & 0x1FFF) != 0;

    internal byte Protocol => _bytes[9];

    internal uint Source => BinaryPrimitives.ReadUInt32BigEndian(_bytes[12..]);

    internal uint Destination => BinaryPrimitives.ReadUInt32BigEndian(_bytes[16..]);
}
