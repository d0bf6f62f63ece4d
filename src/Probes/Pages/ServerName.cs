using System.Buffers.Binary;
using System.Text;

namespace Keepalive.Probes.Pages;

/// <summary>Reads the name of the server from the first message of a TLS client (RFC 8446, 4.1.2; RFC 6066, 3).</summary>
internal static class ServerName
{
    private const byte Handshake = 22;
    private const byte ClientHello = 1;
    private const int RecordHeader = 5;
    private const int MessageHeader = 4;
    private const int VersionAndRandom = 34;
    private const int MaxLength = 253;

    /// <summary>The name; null if the payload is no such message, or the name is not in its captured part. No bytes make it throw.</summary>
    public static string? Find(ReadOnlySpan<byte> payload)
    {
        if (payload.Length < RecordHeader + MessageHeader + VersionAndRandom || payload[0] != Handshake || payload[RecordHeader] != ClientHello)
        {
            return null;
        }
        var rest = payload[(RecordHeader + MessageHeader + VersionAndRandom)..];
        // Session, cipher suites, compression methods.
        if (!Skip(ref rest, 1) || !Skip(ref rest, 2) || !Skip(ref rest, 1) || rest.Length < 2)
        {
            return null;
        }
        rest = rest[2..];
        while (rest.Length >= 4)
        {
            var type = BinaryPrimitives.ReadUInt16BigEndian(rest);
            var length = BinaryPrimitives.ReadUInt16BigEndian(rest[2..]);
            rest = rest[4..];
            if (type == 0)
            {
                return Name(rest[..Math.Min(length, rest.Length)]);
            }
            if (length > rest.Length)
            {
                return null;
            }
            rest = rest[length..];
        }
        return null;
    }

    private static string? Name(ReadOnlySpan<byte> extension)
    {
        // The length of the list, the kind of its first entry (0 is a host name), and the length of that.
        if (extension.Length < 5 || extension[2] != 0)
        {
            return null;
        }
        var length = BinaryPrimitives.ReadUInt16BigEndian(extension[3..]);
        return length is 0 or > MaxLength || extension.Length < 5 + length ? null : Encoding.Latin1.GetString(extension.Slice(5, length));
    }

    private static bool Skip(ref ReadOnlySpan<byte> bytes, int lengthSize)
    {
        if (bytes.Length < lengthSize)
        {
            return false;
        }
        var length = lengthSize == 1 ? bytes[0] : BinaryPrimitives.ReadUInt16BigEndian(bytes);
        if (bytes.Length < lengthSize + length)
        {
            return false;
        }
        bytes = bytes[(lengthSize + length)..];
        return true;
    }
}
