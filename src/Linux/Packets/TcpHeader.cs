using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Keepalive.Linux.Packets;

/// <summary>Control bits of a segment (RFC 9293, 3.1).</summary>
[Flags]
public enum TcpFlags : byte
{
    None = 0,
    Fin = 1,
    Syn = 2,
    Rst = 4,
    Psh = 8,
    Ack = 16,
    Urg = 32,
    Ece = 64,
    Cwr = 128,
}

/// <summary>A TCP header over captured bytes, which may end anywhere behind its fixed part.</summary>
internal readonly ref struct TcpHeader
{
    internal const int FixedLength = 20;

    private const byte OptionEnd = 0;
    private const byte OptionNop = 1;
    private const byte OptionSack = 5;
    private const byte OptionTimestamps = 8;

    private readonly ReadOnlySpan<byte> _bytes;

    /// <param name="bytes">At least <see cref="FixedLength"/> of them.</param>
    internal TcpHeader(ReadOnlySpan<byte> bytes) => _bytes = bytes;

    internal ushort SourcePort => BinaryPrimitives.ReadUInt16BigEndian(_bytes);

    internal ushort DestinationPort => BinaryPrimitives.ReadUInt16BigEndian(_bytes[2..]);

    internal uint Sequence => BinaryPrimitives.ReadUInt32BigEndian(_bytes[4..]);

    internal uint Acknowledged => BinaryPrimitives.ReadUInt32BigEndian(_bytes[8..]);

    /// <summary>With options; less than <see cref="FixedLength"/> when the segment is not one.</summary>
    internal int HeaderLength => (_bytes[12] >> 4) * 4;

    internal TcpFlags Flags => (TcpFlags)_bytes[13];

    internal ushort Window => BinaryPrimitives.ReadUInt16BigEndian(_bytes[14..]);

    /// <summary>Reads the options as nearly every segment of an established connection has them: NOP, NOP, timestamps. False for others.</summary>
    /// <param name="bytes">Those of a frame.</param>
    /// <param name="at">Where in them its header begins.</param>
    /// <param name="headerLength">The header's length, with options.</param>
    /// <param name="timestamp">The timestamp.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool TryReadUsualOptions(ReadOnlySpan<byte> bytes, int at, int headerLength, out uint timestamp)
    {
        const int usual = 32;
        if (headerLength == usual && bytes.Length >= at + usual
            && BinaryPrimitives.ReadUInt64BigEndian(bytes[(at + FixedLength)..]) is var options && options >> 32 == 0x0101080A)
        {
            timestamp = (uint)options;
            return true;
        }
        timestamp = 0;
        return false;
    }

    /// <summary>Reads the two options that matter here, as far as they were captured.</summary>
    internal void ReadOptions(out uint timestamp, out bool selective)
    {
        timestamp = 0;
        selective = false;
        var end = Math.Min(HeaderLength, _bytes.Length);
        for (var at = FixedLength; at < end;)
        {
            var kind = _bytes[at];
            if (kind == OptionNop)
            {
                at++;
                continue;
            }
            if (kind == OptionEnd || at + 1 >= end || _bytes[at + 1] < 2 || at + _bytes[at + 1] > end)
            {
                return;
            }
            if (kind == OptionTimestamps && _bytes[at + 1] == 10)
            {
                timestamp = BinaryPrimitives.ReadUInt32BigEndian(_bytes[(at + 2)..]);
            }
            selective |= kind == OptionSack;
            at += _bytes[at + 1];
        }
    }
}
