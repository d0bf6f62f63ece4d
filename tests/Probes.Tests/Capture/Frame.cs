using System.Buffers.Binary;
using System.Net;
using Keepalive.Linux.Packets;
using Keepalive.Testbed;

namespace Keepalive.Probes.Tests.Capture;

/// <summary>Frames around a packet by PacketDotNet, with the parts that PacketDotNet does not write: link headers, VLAN tags, IP options
/// and extension headers.</summary>
internal sealed record Frame
{
    public string Source { get; init; } = "10.0.0.1:40000";

    public string Destination { get; init; } = "10.0.0.2:443";

    public uint Sequence { get; init; }

    public uint Acknowledged { get; init; }

    public TcpFlags Flags { get; init; } = TcpFlags.Ack;

    public ushort Window { get; init; } = 500;

    public byte[] Payload { get; init; } = [];

    public uint Timestamp { get; init; }

    public ushort Identification { get; init; }

    /// <summary>Null for any.</summary>
    public byte? HopLimit { get; init; }

    public LinkType Link { get; init; } = LinkType.Ethernet;

    /// <summary>EtherTypes of VLAN tags, the outermost first.</summary>
    public ushort[] Tags { get; init; } = [];

    /// <summary>IPv4 options, or whole IPv6 extension headers with their numbers.</summary>
    public byte[] NetworkOptions { get; init; } = [];

    public byte FirstExtension { get; init; } = 6;

    /// <summary>Bytes after the packet.</summary>
    public int Padding { get; init; }

    public byte[] ToBytes()
    {
        var source = IPEndPoint.Parse(Source);
        var options = Timestamp == 0 ? [] : BuiltPacket.Timestamps(Timestamp, 0);
        var packet = BuiltPacket.Tcp(
            source, IPEndPoint.Parse(Destination), Sequence, Acknowledged, (byte)Flags, Window, Payload, options, Identification).Bytes;
        var ipv4 = source.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork;
        packet[ipv4 ? 8 : 7] = HopLimit ?? packet[ipv4 ? 8 : 7];
        return [.. LinkHeader(ipv4 ? (ushort)0x0800 : (ushort)0x86DD, packet.Length + NetworkOptions.Length), .. ipv4 ? WithOptions(packet) : WithExtensions(packet), .. new byte[Padding]];
    }

    /// <summary>The checksum covers only the packet without them.</summary>
    private byte[] WithOptions(byte[] packet)
    {
        packet[0] += (byte)(NetworkOptions.Length / 4);
        Lengthen(packet.AsSpan(2));
        return [.. packet[..20], .. NetworkOptions, .. packet[20..]];
    }

    private byte[] WithExtensions(byte[] packet)
    {
        packet[6] = FirstExtension;
        Lengthen(packet.AsSpan(4));
        return [.. packet[..40], .. NetworkOptions, .. packet[40..]];
    }

    private void Lengthen(Span<byte> length) =>
        BinaryPrimitives.WriteUInt16BigEndian(length, (ushort)(BinaryPrimitives.ReadUInt16BigEndian(length) + NetworkOptions.Length));

    private byte[] LinkHeader(ushort protocol, int packetLength)
    {
        ushort[] protocols = [.. Tags, protocol];
        byte[] first = [(byte)(protocols[0] >> 8), (byte)protocols[0]];
        byte[] tags = [.. protocols[1..].SelectMany(next => new byte[] { 0, 5, (byte)(next >> 8), (byte)next })];
        var family = (byte)(protocol == 0x0800 ? 2 : 10);
        return Link switch
        {
            LinkType.Ethernet => [.. new byte[12], .. first, .. tags],
            LinkType.LinuxCooked => [0, 0, 0, 1, 0, 6, .. new byte[8], .. first, .. tags],
            LinkType.LinuxCooked2 => [.. first, .. new byte[18], .. tags],
            LinkType.Null => [family, 0, 0, 0],
            LinkType.Loop => [0, 0, 0, family],
            // The packet header's attribute, the interface's, an odd prefix, and the payload's, all of a little-endian host.
            LinkType.NetfilterLog =>
                [family, 0, 0, 7, 8, 0, 1, 0, (byte)(protocol >> 8), (byte)protocol, 1, 0, 8, 0, 5, 0, 0, 0, 0, 2, 6, 0, 10, 0, 65, 0, 0, 0, .. BitConverter.GetBytes((ushort)(packetLength + 4)), 9, 0],
            _ => [],
        };
    }
}
