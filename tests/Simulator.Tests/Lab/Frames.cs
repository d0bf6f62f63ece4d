using System.Buffers.Binary;
using System.Net;
using Keepalive.Linux.Packets;
using Keepalive.Simulator.Balancing;
using Keepalive.Testbed;

namespace Keepalive.Simulator.Tests.Lab;

/// <summary>A segment to write as a frame, or one read from a frame. Uses none of the lab's own code for reading and writing.</summary>
internal sealed record Segment(FlowEnd From, TcpFlags Flags, uint Sequence, uint Acknowledgment)
{
    public static readonly byte[] ClientHardware = [2, 0, 0, 0, 0, 1];
    public static readonly byte[] ServerHardware = [2, 0, 0, 0, 0, 2];

    public int Payload { get; init; }

    public ushort Window { get; init; } = 500;

    /// <summary>TSval and TSecr, if present.</summary>
    public (uint Value, uint Echo)? Timestamps { get; init; }

    public bool IsIPv6 { get; init; }

    public int ClientPort { get; init; } = 40000;

    public int ServerPort { get; init; } = 443;

    /// <summary>Distinguishes more clients than there are ports.</summary>
    public int ClientNumber { get; init; } = 1;

    public byte[] Client { get; init; } = ClientHardware;

    public byte[] Server { get; init; } = ServerHardware;

    private IPAddress ClientAddress => IPAddress.Parse(IsIPv6 ? $"fd00::{ClientNumber}" : $"10.0.{ClientNumber >> 8}.{ClientNumber & 255}");

    private IPAddress ServerAddress => IPAddress.Parse(IsIPv6 ? "2001:db8::10" : "203.0.113.10");

    /// <summary>The segment as a frame.</summary>
    public byte[] ToFrame()
    {
        var (client, server) = (new IPEndPoint(ClientAddress, ClientPort), new IPEndPoint(ServerAddress, ServerPort));
        var fromClient = From == FlowEnd.Client;
        var payload = new byte[Payload];
        payload.AsSpan().Fill(0x5a);
        var options = Timestamps is var (value, echo) ? BuiltPacket.Timestamps(value, echo) : [];
        return BuiltPacket.Tcp(fromClient ? client : server, fromClient ? server : client, Sequence, Acknowledgment, (byte)Flags, Window, payload, options)
            .InEthernet(fromClient ? Client : Server, fromClient ? Server : Client);
    }

    /// <summary>Reads a frame without IP options. The hardware address identifies the sender.</summary>
    public static Segment Read(ReadOnlySpan<byte> frame)
    {
        var six = BinaryPrimitives.ReadUInt16BigEndian(frame[12..]) == 0x86dd;
        var tcp = frame[(six ? 54 : 34)..];
        var end = 14 + (six ? 40 + BinaryPrimitives.ReadUInt16BigEndian(frame[18..]) : BinaryPrimitives.ReadUInt16BigEndian(frame[16..]));
        var header = (tcp[12] >> 4) * 4;
        var fromClient = frame[6..12].SequenceEqual(ClientHardware);
        int source = BinaryPrimitives.ReadUInt16BigEndian(tcp), destination = BinaryPrimitives.ReadUInt16BigEndian(tcp[2..]);
        var (sequence, acknowledgment) = (BinaryPrimitives.ReadUInt32BigEndian(tcp[4..]), BinaryPrimitives.ReadUInt32BigEndian(tcp[8..]));
        return new Segment(fromClient ? FlowEnd.Client : FlowEnd.Server, (TcpFlags)tcp[13], sequence, acknowledgment)
        {
            IsIPv6 = six,
            Payload = end - (frame.Length - tcp.Length) - header,
            Window = BinaryPrimitives.ReadUInt16BigEndian(tcp[14..]),
            ClientPort = fromClient ? source : destination,
            ServerPort = fromClient ? destination : source,
            Timestamps = header == 32 && tcp[20..24].SequenceEqual(new byte[] { 1, 1, 8, 10 })
                ? (BinaryPrimitives.ReadUInt32BigEndian(tcp[24..]), BinaryPrimitives.ReadUInt32BigEndian(tcp[28..]))
                : null,
        };
    }
}

/// <summary>Checksums (RFC 1071) and the classification of frames, straight from the specifications and slow.</summary>
internal static class Frames
{
    public static ulong Add(ulong sum, ReadOnlySpan<byte> bytes)
    {
        for (var i = 0; i < bytes.Length; i++)
        {
            sum += (ulong)bytes[i] << (i % 2 == 0 ? 8 : 0);
        }
        return sum;
    }

    public static ushort Complement(ulong sum)
    {
        while (sum >> 16 != 0)
        {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        return (ushort)~sum;
    }

    /// <summary>The sum over pseudo header, TCP header and payload of a frame without IP options.</summary>
    public static ulong TcpSum(ReadOnlySpan<byte> frame)
    {
        var six = BinaryPrimitives.ReadUInt16BigEndian(frame[12..]) == 0x86dd;
        var length = six ? BinaryPrimitives.ReadUInt16BigEndian(frame[18..]) : BinaryPrimitives.ReadUInt16BigEndian(frame[16..]) - 20;
        var addresses = six ? frame[22..54] : frame[26..34];
        return Add(Add(0, addresses) + 6 + (ulong)length, frame.Slice(six ? 54 : 34, length));
    }

    public static bool HasCorrectChecksums(ReadOnlySpan<byte> frame) =>
        Complement(TcpSum(frame)) == 0
        && (BinaryPrimitives.ReadUInt16BigEndian(frame[12..]) == 0x86dd || Complement(Add(0, frame[14..34])) == 0);

    /// <summary>Whether it is a whole TCP segment, untagged and no fragment: an independent second implementation.</summary>
    public static bool IsWholeSegment(byte[] frame)
    {
        try
        {
            var version = frame[14] >> 4;
            int next, at, end;
            if (frame[12] == 0x08 && frame[13] == 0x00 && version == 4)
            {
                var fragment = ((frame[20] << 8) | frame[21]) & 0x3fff;
                (next, at, end) = (frame[23], 14 + ((frame[14] & 15) * 4), 14 + ((frame[16] << 8) | frame[17]));
                if (fragment != 0 || at < 34)
                {
                    return false;
                }
            }
            else if (frame[12] == 0x86 && frame[13] == 0xdd && version == 6)
            {
                _ = frame[53];
                (next, at, end) = (frame[20], 54, 54 + ((frame[18] << 8) | frame[19]));
                while (next is 0 or 43 or 60 or 51)
                {
                    _ = frame[at + 7];
                    var length = next == 51 ? (frame[at + 1] + 2) * 4 : (frame[at + 1] + 1) * 8;
                    (next, at) = (frame[at], at + length);
                }
            }
            else
            {
                return false;
            }
            return next == 6 && end <= frame.Length && at + 20 <= end && frame[at + 12] >> 4 >= 5 && at + ((frame[at + 12] >> 4) * 4) <= end;
        }
        catch (IndexOutOfRangeException)
        {
            return false;
        }
    }
}
