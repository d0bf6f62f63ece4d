using System.Buffers.Binary;

namespace Keepalive.Benchmarks;

/// <summary>Writes captures of idle connections: a handshake each, then probes and replies in turn, as Linux sends them.</summary>
internal static class CaptureOfProbes
{
    private const int Connections = 1000;
    private const int FrameLength = 66;
    private const int RecordLength = 16 + FrameLength;

    /// <summary>Writes approximately this number of packets; returns the exact numbers of packets and of probes.</summary>
    public static (long Packets, long Probes) Write(string path, int packets)
    {
        var rounds = (packets - (3 * Connections)) / (2 * Connections);
        using var file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 1 << 20);
        Span<byte> header = stackalloc byte[24];
        BinaryPrimitives.WriteUInt32LittleEndian(header, 0xA1B2C3D4);
        BinaryPrimitives.WriteUInt16LittleEndian(header[4..], 2);
        BinaryPrimitives.WriteUInt16LittleEndian(header[6..], 4);
        BinaryPrimitives.WriteUInt32LittleEndian(header[16..], 262_144);
        BinaryPrimitives.WriteUInt32LittleEndian(header[20..], 1);
        file.Write(header);
        var record = new byte[RecordLength];
        for (var i = 0; i < Connections; i++)
        {
            Write(file, record, i, fromClient: true, 0, 0, 2, 0);
            Write(file, record, i, fromClient: false, 0, 1, 18, 1);
            Write(file, record, i, fromClient: true, 1, 1, 16, 2);
        }
        for (var round = 1; round <= rounds; round++)
        {
            for (var i = 0; i < Connections; i++)
            {
                var microseconds = (round * 1_000_000L) + (i * 100);
                Write(file, record, i, fromClient: true, 0, 1, 16, microseconds);
                Write(file, record, i, fromClient: false, 1, 1, 16, microseconds + 50);
            }
        }
        return ((3L * Connections) + (2L * Connections * rounds), (long)Connections * rounds);
    }

    private static void Write(
        FileStream file, byte[] record, int connection, bool fromClient, uint sequence, uint acknowledged, byte flags, long microseconds)
    {
        var (client, server) = (1_000_000u + (uint)connection, 77_000_000u + (uint)connection);
        var bytes = record.AsSpan();
        bytes.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, (uint)(1_700_000_000 + (microseconds / 1_000_000)));
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], (uint)(microseconds % 1_000_000));
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[8..], FrameLength);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[12..], FrameLength);
        var packet = bytes[16..];
        packet[12] = 8;
        var ip = packet[14..];
        ip[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(ip[2..], FrameLength - 14);
        BinaryPrimitives.WriteUInt16BigEndian(ip[4..], (ushort)((microseconds / 50) + connection));
        (ip[8], ip[9]) = (64, 6);
        var (a, b) = (0x0A000000u + (uint)connection, 0x0A0A0001u);
        BinaryPrimitives.WriteUInt32BigEndian(ip[12..], fromClient ? a : b);
        BinaryPrimitives.WriteUInt32BigEndian(ip[16..], fromClient ? b : a);
        var tcp = ip[20..];
        BinaryPrimitives.WriteUInt16BigEndian(tcp, fromClient ? (ushort)40_000 : (ushort)443);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[2..], fromClient ? (ushort)443 : (ushort)40_000);
        BinaryPrimitives.WriteUInt32BigEndian(tcp[4..], (fromClient ? client : server) + sequence);
        BinaryPrimitives.WriteUInt32BigEndian(tcp[8..], (flags & 16) == 0 ? 0 : (fromClient ? server : client) + acknowledged);
        (tcp[12], tcp[13]) = (0x80, flags);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[14..], 502);
        (tcp[20], tcp[21], tcp[22], tcp[23]) = (1, 1, 8, 10);
        BinaryPrimitives.WriteUInt32BigEndian(tcp[24..], (uint)(microseconds / 1000) + 1);
        file.Write(record);
    }
}
