using System.Buffers.Binary;
using Keepalive.Linux.Packets;
using Keepalive.Simulator.Balancing;

namespace Keepalive.Simulator.Lab;

/// <summary>Writes segments that seem to come from the other end of a connection.</summary>
internal static class ForgedSegment
{
    /// <summary>The longest one, bytes.</summary>
    public const int MaxLength = TcpFrame.EthernetHeader + TcpFrame.IPv6Header + TcpFrame.TcpHeader + TimestampsLength;

    private const int TimestampsLength = 12;
    private const byte HopLimit = 64;
    private const ushort DontFragment = 0x4000;

    /// <summary>Writes one, complete with checksums.</summary>
    /// <param name="frame">At least <see cref="MaxLength"/> bytes.</param>
    /// <param name="flow">The connection; its timestamps go on where it has them.</param>
    /// <param name="to">The receiver.</param>
    /// <param name="flags">Control bits.</param>
    /// <param name="sequence">Its sequence number. A reset is taken only if that is exactly what the receiver expects (RFC 5961, section 3.2).</param>
    /// <param name="acknowledgment">Its acknowledgment number; 0 without ACK.</param>
    /// <returns>The part of <paramref name="frame"/> that it takes.</returns>
    public static Span<byte> Write(Span<byte> frame, LabFlow flow, FlowEnd to, TcpFlags flags, uint sequence, uint acknowledgment)
    {
        var key = flow.Key;
        ref var receiver = ref flow.Half(to);
        ref var sender = ref flow.Half(to.Other());
        var hasTimestamps = receiver.HasTimestamps && sender.HasTimestamps;
        var tcpLength = TcpFrame.TcpHeader + (hasTimestamps ? TimestampsLength : 0);
        var ipLength = key.IsIPv6 ? TcpFrame.IPv6Header : TcpFrame.IPv4Header;
        frame = frame[..(TcpFrame.EthernetHeader + ipLength + tcpLength)];
        frame.Clear();

        WriteHardware(frame, receiver.Hardware);
        WriteHardware(frame[6..], sender.Hardware);
        BinaryPrimitives.WriteUInt16BigEndian(frame[12..], key.IsIPv6 ? TcpFrame.IPv6 : TcpFrame.IPv4);

        var ip = frame[TcpFrame.EthernetHeader..];
        var tcp = ip[ipLength..];
        BinaryPrimitives.WriteUInt16BigEndian(tcp, key.Port(to.Other()));
        BinaryPrimitives.WriteUInt16BigEndian(tcp[2..], key.Port(to));
        BinaryPrimitives.WriteUInt32BigEndian(tcp[4..], sequence);
        BinaryPrimitives.WriteUInt32BigEndian(tcp[8..], acknowledgment);
        tcp[12] = (byte)(tcpLength / 4 << 4);
        tcp[13] = (byte)flags;
        BinaryPrimitives.WriteUInt16BigEndian(tcp[14..], (flags & TcpFlags.Rst) != 0 ? (ushort)0 : sender.Window);
        if (hasTimestamps)
        {
            BinaryPrimitives.WriteUInt32BigEndian(tcp[20..], TcpFrame.TimestampsHead);
            BinaryPrimitives.WriteUInt32BigEndian(tcp[24..], sender.Timestamp);
            BinaryPrimitives.WriteUInt32BigEndian(tcp[28..], receiver.Timestamp);
        }

        Span<byte> addresses = stackalloc byte[32];
        BinaryPrimitives.WriteUInt128BigEndian(addresses, key.Address(to.Other()));
        BinaryPrimitives.WriteUInt128BigEndian(addresses[16..], key.Address(to));
        if (key.IsIPv6)
        {
            ip[0] = 0x60;
            BinaryPrimitives.WriteUInt16BigEndian(ip[4..], (ushort)tcpLength);
            ip[6] = TcpFrame.Tcp;
            ip[7] = HopLimit;
            addresses.CopyTo(ip[8..]);
            BinaryPrimitives.WriteUInt16BigEndian(tcp[16..], Checksum(tcp, Sum(addresses) + TcpFrame.Tcp + (uint)tcpLength));
        }
        else
        {
            ip[0] = 0x45;
            BinaryPrimitives.WriteUInt16BigEndian(ip[2..], (ushort)(ipLength + tcpLength));
            BinaryPrimitives.WriteUInt16BigEndian(ip[6..], DontFragment);
            ip[8] = HopLimit;
            ip[9] = TcpFrame.Tcp;
            addresses[12..16].CopyTo(ip[12..]);
            addresses[28..].CopyTo(ip[16..]);
            BinaryPrimitives.WriteUInt16BigEndian(ip[10..], Checksum(ip[..ipLength], 0));
            BinaryPrimitives.WriteUInt16BigEndian(tcp[16..], Checksum(tcp, Sum(ip[12..20]) + TcpFrame.Tcp + (uint)tcpLength));
        }
        return frame;
    }

    /// <summary>The Internet checksum (RFC 1071) of an even number of bytes, on top of a sum so far.</summary>
    private static ushort Checksum(ReadOnlySpan<byte> bytes, uint sum)
    {
        sum += Sum(bytes);
        sum = (sum & 0xffff) + (sum >> 16);
        return (ushort)~((sum & 0xffff) + (sum >> 16));
    }

    private static uint Sum(ReadOnlySpan<byte> bytes)
    {
        uint sum = 0;
        for (; bytes.Length >= 2; bytes = bytes[2..])
        {
            sum += BinaryPrimitives.ReadUInt16BigEndian(bytes);
        }
        return sum;
    }

    private static void WriteHardware(Span<byte> to, ulong hardware)
    {
        BinaryPrimitives.WriteUInt16BigEndian(to, (ushort)(hardware >> 32));
        BinaryPrimitives.WriteUInt32BigEndian(to[2..], (uint)hardware);
    }
}
