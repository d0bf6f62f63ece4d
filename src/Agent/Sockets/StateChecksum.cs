using System.Buffers.Text;
using Keepalive.Linux.Files;

namespace Keepalive.Agent.Sockets;

/// <summary>The checksum at the end of a "set" line: CRC-32C of the line up to it, and of the lines between the "set" before and this one.</summary>
/// <remarks>Earlier versions read lines whose last word is any word behind the destination of a "set", and nothing else that is new: so a "set" line
/// vouches for the others.</remarks>
internal readonly record struct StateChecksum(uint Line, uint Before)
{
    /// <summary>Bytes of <c> crc=01234567,89abcdef</c>.</summary>
    public const int Length = 5 + 8 + 1 + 8;

    private static ReadOnlySpan<byte> Mark => " crc="u8;

    public static uint Add(uint sum, ReadOnlySpan<byte> bytes) => Crc32C.Add(sum, bytes);

    /// <summary>The sum of the complete lines behind the last "set" line of a file.</summary>
    public static uint BehindLastSet(ReadOnlySpan<byte> file)
    {
        var sum = 0u;
        for (int end; (end = file.IndexOf((byte)'\n')) >= 0; file = file[(end + 1)..])
        {
            var line = file[..(end + 1)];
            sum = line.StartsWith("keepalive-agent-state "u8) || line.StartsWith("set "u8) ? 0 : Add(sum, line);
        }
        return sum;
    }

    /// <summary>Takes a checksum off the end of a line; null where there is none.</summary>
    public static StateChecksum? Find(ReadOnlySpan<byte> line, out ReadOnlySpan<byte> rest)
    {
        rest = line;
        if (line.Length < Length || !line[^Length..].StartsWith(Mark))
        {
            return null;
        }
        var digits = line[^(Length - Mark.Length)..];
        if (!Utf8Parser.TryParse(digits[..8], out uint own, out var used, 'x') || used != 8 || digits[8] != ','
            || !Utf8Parser.TryParse(digits[9..], out uint before, out used, 'x') || used != 8)
        {
            return null;
        }
        rest = line[..^Length];
        return new StateChecksum(own, before);
    }

    public void Write(Span<byte> into)
    {
        Mark.CopyTo(into);
        into = into[Mark.Length..];
        WriteDigits(Line, into);
        into[8] = (byte)',';
        WriteDigits(Before, into[9..]);

        static void WriteDigits(uint value, Span<byte> into)
        {
            for (var i = 7; i >= 0; i--, value >>= 4)
            {
                into[i] = "0123456789abcdef"u8[(int)(value & 15)];
            }
        }
    }
}
