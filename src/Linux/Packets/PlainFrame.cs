using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Keepalive.Linux.Packets;

/// <summary>The front of a frame as nearly all are: TCP in IPv4 without options in Ethernet. Laid over its bytes, with one comparison of the length for all.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public readonly struct PlainFrame
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

    /// <summary>Of the IPv4 packet.</summary>
    public ushort Identification => Big(_identification);

    /// <summary>Of the IPv4 packet.</summary>
    public byte TimeToLive => _timeToLive;

    /// <summary>The address of its sender, most significant byte first.</summary>
    public uint Source => Big(_source);

    /// <summary>The address of its receiver.</summary>
    public uint Destination => Big(_destination);

    /// <summary>The port of its sender.</summary>
    public ushort SourcePort => Big(_sourcePort);

    /// <summary>The port of its receiver.</summary>
    public ushort DestinationPort => Big(_destinationPort);

    /// <summary>The sequence number of the segment.</summary>
    public uint Sequence => Big(_sequence);

    /// <summary>The next byte its sender expects.</summary>
    public uint Acknowledged => Big(_acknowledged);

    /// <summary>Of TCP, with options; less than <see cref="TcpHeader.FixedLength"/> when the segment is not one.</summary>
    internal int HeaderLength => (_dataOffset >> 4) * 4;

    internal TcpFlags Flags => (TcpFlags)_flags;

    /// <summary>As on the wire, before scaling.</summary>
    public ushort Window => Big(_window);

    /// <summary>The front of a frame that has its length at least.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ref readonly PlainFrame Of(ReadOnlySpan<byte> frame) => ref MemoryMarshal.AsRef<PlainFrame>(frame);

    /// <summary>Whether an Ethernet frame has a segment that does nothing but acknowledge, as probes and replies do: no payload, no other flag, and no options but
    /// timestamps in their usual place.</summary>
    /// <param name="frame">The captured bytes.</param>
    /// <param name="timestamp">TSval of the timestamps option, 0 without one.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsAcknowledgement(ReadOnlySpan<byte> frame, out uint timestamp)
    {
        timestamp = 0;
        if (frame.Length < Length)
        {
            return false;
        }
        ref readonly var plain = ref Of(frame);
        if (!plain.IsSegment || plain.Flags != TcpFlags.Ack)
        {
            return false;
        }
        var header = plain.HeaderLength;
        return plain.TotalLength == IPv4Packet.FixedLength + header
            && (header == TcpHeader.FixedLength || TcpHeader.TryReadUsualOptions(frame, SegmentAt, header, out timestamp));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ushort Big(ushort value) => BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(value) : value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Big(uint value) => BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(value) : value;
}
