using System.Buffers;
using System.Buffers.Binary;
using System.Numerics;

namespace Keepalive.Linux.Files;

/// <summary>The checksum CRC-32C. It finds damage; it is no protection from somebody who may write the file.</summary>
public static class Crc32C
{
    /// <summary>Returns the checksum of bytes that follow those of an earlier sum; 0 is the sum of none.</summary>
    public static uint Add(uint sum, ReadOnlySpan<byte> bytes)
    {
        var crc = ~sum;
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        }
        foreach (var one in bytes)
        {
            crc = BitOperations.Crc32C(crc, one);
        }
        return ~crc;
    }

    /// <inheritdoc cref="Add(uint, ReadOnlySpan{byte})"/>
    public static uint Add(uint sum, in ReadOnlySequence<byte> bytes)
    {
        foreach (var part in bytes)
        {
            sum = Add(sum, part.Span);
        }
        return sum;
    }
}
