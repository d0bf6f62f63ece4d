using System.Buffers.Binary;
using System.Net;
using Keepalive.Simulator.Balancing;

namespace Keepalive.Simulator.Lab;

/// <summary>The two ends of a connection. IPv4 addresses are IPv4-mapped ones; no IPv6 packet has such an address.</summary>
internal readonly record struct LabFlowKey(UInt128 ClientAddress, UInt128 ServerAddress, ushort ClientPort, ushort ServerPort)
{
    private static readonly UInt128 s_mapped = new(0, 0xffff_0000_0000);

    /// <summary>The key of a segment that one end has sent.</summary>
    public static LabFlowKey Of(in TcpFrame segment, FlowEnd from)
    {
        var source = Read(segment.SourceAddress);
        var destination = Read(segment.DestinationAddress);
        return from == FlowEnd.Client
            ? new LabFlowKey(source, destination, segment.SourcePort, segment.DestinationPort)
            : new LabFlowKey(destination, source, segment.DestinationPort, segment.SourcePort);
    }

    public bool IsIPv6 => (ClientAddress >> 32) != (s_mapped >> 32);

    public UInt128 Address(FlowEnd end) => end == FlowEnd.Client ? ClientAddress : ServerAddress;

    public ushort Port(FlowEnd end) => end == FlowEnd.Client ? ClientPort : ServerPort;

    public IPEndPoint EndPoint(FlowEnd end)
    {
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt128BigEndian(bytes, Address(end));
        return new IPEndPoint(new IPAddress(IsIPv6 ? bytes : bytes[12..]), Port(end));
    }

    private static UInt128 Read(ReadOnlySpan<byte> address) =>
        address.Length == 4 ? s_mapped | BinaryPrimitives.ReadUInt32BigEndian(address) : BinaryPrimitives.ReadUInt128BigEndian(address);
}
