using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Keepalive.Linux.Packets;

/// <summary>The front of a frame as nearly all are: TCP in IPv4 without options in Ethernet. Laid over its bytes, with one comparison of the length for all.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
internal readonly struct PlainFrame
{
    /// <summary>Where its segment begins.</summary>
    internal const int SegmentAt = LinkFrame.EthernetLength + IPv4Packet.FixedLength;

    /// <summary>The length of all headers, without the options of TCP.</summary>
    internal const int Length = SegmentAt + TcpHeader.FixedLength;

    private readonly ulong _addresses;
    private readonly uint _addressesToo;
    private readonly ushort _etherType;

    private readonly byte _versionAndLength;
    private readonly byte _service;
    private readonly ushort _totalLength;
    private readonly ushort _identification;
    private readonly ushort _fragment;
    private readonly byte _timeToLive;
    private readonly byte _protocol;
    private readonly ushort _checksum;
    private readonly uint _source;
    private readonly uint _destination;

    private readonly ushort _sourcePort;
    private readonly ushort _destinationPort;
    private readonly uint _sequence;
    private readonly uint _acknowledged;
    private readonly byte _dataOffset;
    private readonly byte _flags;
    private readonly ushort _window;
    private readonly ushort _tcpChecksum;
    private readonly ushort _urgent;

    /// <summary>Whether the frame is of this kind, and has the front of a segment.</summary>
    internal bool IsSegment
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => _etherType == Big(LinkFrame.EtherTypeIPv4) && _versionAndLength == 0x45 && _protocol == TcpSegment.Protocol && (_fragment & Big(0x1FFF)) == 0;
    }

    /// <summary>Of the IPv4 packet; 0 where segmentation offload has yet to set it.</summary>
    internal int TotalLength => Big(_totalLength);

    internal ushort Identification => Big(_identification);

    internal byte TimeToLive => _timeToLive;

    internal uint Source => Big(_source);

    internal uint Destination => Big(_destination);

    internal ushort SourcePort => Big(_sourcePort);

    internal ushort DestinationPort => Big(_destinationPort);

    internal uint Sequence => Big(_sequence);

    internal uint Acknowledged => Big(_acknowledged);

    /// <summary>Of TCP, with options; less than <see cref="TcpHeader.FixedLength"/> when the segment is not one.</summary>
    internal int HeaderLength => (_dataOffset >> 4) * 4;

    internal TcpFlags Flags => (TcpFlags)_flags;

    internal ushort Window => Big(_window);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ushort Big(ushort value) => BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(value) : value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Big(uint value) => BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(value) : value;
}
