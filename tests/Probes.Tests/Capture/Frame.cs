using System.Buffers.Binary;
using System.Net;
using Keepalive.Linux.Packets;

namespace Keepalive.Probes.Tests.Capture;

/// <summary>Writes frames byte by byte from the RFCs, sharing nothing with what reads them.</summary>
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

    public LinkType Link { get; init; } = LinkType.Ethernet;

    /// <summary>EtherTypes of VLAN tags, outermost first.</summary>
    public ushort[] Tags { get; init; } = [];

    /// <summary>IPv4 options, or whole IPv6 extension headers with their numbers.</summary>
    public byte[] NetworkOptions { get; init; } = [];

    public byte FirstExtension { get; init; } = 6;

    /// <summary>Bytes behind the packet.</summary>
    public int Padding { get; init; }

    public byte[] ToBytes()
    {
        var (source, destination) = (IPEndPoint.Parse(Source), IPEndPoint.Parse(Destination));
        var ipv4 = source.Address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork;
        byte[] tcp = [.. Tcp(source.Port, destination.Port), .. Payload];
        byte[] packet = ipv4 ? [.. IPv4(source, destination, tcp.Length), .. tcp] : [.. IPv6(source, destination, tcp.Length), .. tcp];
        return [.. LinkHeader(ipv4 ? (ushort)0x0800 : (ushort)0x86DD), .. packet, .. new byte[Padding]];
    }

    private byte[] Tcp(int source, int destination)
    {
        var header = new byte[Timestamp == 0 ? 20 : 32];
        BinaryPrimitives.WriteUInt16BigEndian(header, (ushort)source);
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(2), (ushort)destination);
        BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(4), Sequence);
        BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(8), Acknowledged);
        header[12] = (byte)(header.Length / 4 << 4);
        header[13] = (byte)Flags;
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(14), Window);
        if (Timestamp != 0)
        {
            (header[20], header[21], header[22], header[23]) = (1, 1, 8, 10);
            BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(24), Timestamp);
        }
        return header;
    }

    private byte[] IPv4(IPEndPoint source, IPEndPoint destination, int length)
    {
        var header = new byte[20 + NetworkOptions.Length];
        header[0] = (byte)(0x40 | (header.Length / 4));
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(2), (ushort)(header.Length + length));
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(4), Identification);
        (header[8], header[9]) = (64, 6);
        source.Address.GetAddressBytes().CopyTo(header, 12);
        destination.Address.GetAddressBytes().CopyTo(header, 16);
        NetworkOptions.CopyTo(header, 20);
        return header;
    }

    private byte[] IPv6(IPEndPoint source, IPEndPoint destination, int length)
    {
        var header = new byte[40 + NetworkOptions.Length];
        header[0] = 0x60;
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(4), (ushort)(NetworkOptions.Length + length));
        (header[6], header[7]) = (FirstExtension, 64);
        source.Address.GetAddressBytes().CopyTo(header, 8);
        destination.Address.GetAddressBytes().CopyTo(header, 24);
        NetworkOptions.CopyTo(header, 40);
        return header;
    }

    private byte[] LinkHeader(ushort protocol)
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
            _ => [],
        };
    }
}
