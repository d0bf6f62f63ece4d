using System.Buffers.Binary;
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using PacketDotNet;
using PacketDotNet.Utils;
using ProtocolType = PacketDotNet.ProtocolType;

namespace Keepalive.Testbed;

/// <summary>Well-formed packets by PacketDotNet.</summary>
internal static class BuiltPacket
{
    private const int TcpHeader = 20;

    /// <summary>TSval and TSecr as stacks write them: behind two NOPs (RFC 7323, appendix A).</summary>
    public static byte[] Timestamps(uint value, uint echo)
    {
        byte[] option = [1, 1, 8, 10, .. new byte[8]];
        BinaryPrimitives.WriteUInt32BigEndian(option.AsSpan(4), value);
        BinaryPrimitives.WriteUInt32BigEndian(option.AsSpan(8), echo);
        return option;
    }

    /// <param name="source">Its sender.</param>
    /// <param name="destination">Its receiver, of the same address family.</param>
    /// <param name="sequence">Sequence number.</param>
    /// <param name="acknowledged">Acknowledgment number.</param>
    /// <param name="flags">Control bits.</param>
    /// <param name="window">As it stands in the header.</param>
    /// <param name="payload">Payload.</param>
    /// <param name="options">TCP options, padded to four bytes.</param>
    /// <param name="identification">The IPv4 header's.</param>
    public static IPPacket Tcp(
        IPEndPoint source, IPEndPoint destination, uint sequence, uint acknowledged, byte flags, ushort window, byte[] payload, byte[] options, ushort identification = 0)
    {
        // The constructor with ports has no parameter for options.
        var header = new byte[TcpHeader + options.Length];
        header[12] = (byte)(header.Length / 4 << 4);
        options.CopyTo(header, TcpHeader);
        var tcp = new TcpPacket(new ByteArraySegment(header))
        {
            SourcePort = (ushort)source.Port,
            DestinationPort = (ushort)destination.Port,
            SequenceNumber = sequence,
            AcknowledgmentNumber = acknowledged,
            Flags = flags,
            WindowSize = window,
            PayloadData = payload,
        };
        IPPacket ip = source.AddressFamily == AddressFamily.InterNetwork
            ? new IPv4Packet(source.Address, destination.Address) { Id = identification, Protocol = ProtocolType.Tcp }
            : new IPv6Packet(source.Address, destination.Address) { Protocol = ProtocolType.Tcp, PayloadLength = (ushort)(header.Length + payload.Length) };
        ip.PayloadPacket = tcp;
        tcp.UpdateTcpChecksum();
        if (ip is IPv4Packet ipv4)
        {
            ipv4.UpdateCalculatedValues();
            ipv4.UpdateIPChecksum();
        }
        return ip;
    }

    /// <summary>The packet in an Ethernet frame.</summary>
    public static byte[] InEthernet(this IPPacket packet, byte[] source, byte[] destination) =>
        new EthernetPacket(new PhysicalAddress(source), new PhysicalAddress(destination), packet is IPv4Packet ? EthernetType.IPv4 : EthernetType.IPv6)
        {
            PayloadPacket = packet,
        }.Bytes;
}
