using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Keepalive.Linux.Packets;

namespace Keepalive.Probes.Capture;

/// <summary>A capture file of libpcap's classic format (draft-ietf-opsawg-pcap), in either byte order and resolution, or of its "modified" form.</summary>
/// <remarks>The modified form was written by libpcap as patched by Alexey Kuznetsov: each record's header also has interface, protocol and packet type
/// (pcap_sf_patched_pkthdr in libpcap's sf-pcap.c).</remarks>
internal sealed class PcapFile : IPacketSource
{
    private const int FileHeaderLength = 24;
    private const int RecordHeaderLength = 16;
    private const int ModifiedHeaderLength = 24;

    /// <summary>No tool writes longer packets (libpcap's own limit is 128 MiB, for one link type): what claims to be is no packet.</summary>
    private const uint MaxPacket = 256 * 1024 * 1024;

    private readonly ByteFeed _feed;
    private readonly bool _reverses;
    private readonly int _nanosecondsPerFraction;
    private readonly int _recordHeaderLength;
    private readonly LinkType _link;

    /// <summary>Whether the records' headers are as this machine would write them.</summary>
    private readonly bool _isUsual;
    private long _number;

    // The packet that was handed out last, and is passed over when the next is asked for.
    private long _recordAt;
    private long _unread;

    private PcapFile(ByteFeed feed, bool swapped, int nanosecondsPerFraction, int recordHeaderLength, LinkType link)
    {
        _feed = feed;
        _reverses = swapped == BitConverter.IsLittleEndian;
        _nanosecondsPerFraction = nanosecondsPerFraction;
        _recordHeaderLength = recordHeaderLength;
        _link = link;
        _isUsual = !_reverses && recordHeaderLength == RecordHeaderLength;
    }

    /// <summary>Reads the file's header.</summary>
    /// <returns>Null when the file does not begin as one of this format.</returns>
    /// <exception cref="CaptureException">It does, and cannot be read.</exception>
    public static PcapFile? TryOpen(ByteFeed feed)
    {
        var header = feed.Peek(FileHeaderLength);
        if (header.Length < 4)
        {
            return null;
        }
        (bool Swapped, int Resolution, int HeaderLength)? form = BinaryPrimitives.ReadUInt32LittleEndian(header) switch
        {
            0xA1B2C3D4 => (false, 1000, RecordHeaderLength),
            0xD4C3B2A1 => (true, 1000, RecordHeaderLength),
            0xA1B23C4D => (false, 1, RecordHeaderLength),
            0x4D3CB2A1 => (true, 1, RecordHeaderLength),
            0xA1B2CD34 => (false, 1000, ModifiedHeaderLength),
            0x34CDB2A1 => (true, 1000, ModifiedHeaderLength),
            _ => null,
        };
        if (form is not { } found)
        {
            return null;
        }
        if (header.Length < FileHeaderLength)
        {
            throw new CaptureException($"the file ends after {header.Length} bytes, within the file header of {FileHeaderLength}");
        }
        var major = UInt16(header[4..], found.Swapped);
        if (major != 2)
        {
            throw new CaptureException($"byte 4: version {major}.{UInt16(header[6..], found.Swapped)} of the format is not known; 2.4 is");
        }
        // The upper bits say how long a frame check sequence is.
        var link = (LinkType)(UInt32(header[20..], found.Swapped) & 0x03FFFFFF);
        if (!link.IsKnown())
        {
            throw new CaptureException($"byte 20: {CaptureFile.UnknownLink(link)}");
        }
        feed.Skip(FileHeaderLength);
        return new PcapFile(feed, found.Swapped, found.Resolution, found.HeaderLength, link);
    }

    public bool TryRead(out CapturedPacket packet)
    {
        // Nearly every packet is in the buffer as a whole.
        var bytes = _feed.Buffered;
        if (_isUsual && bytes.Length >= RecordHeaderLength && _unread == 0)
        {
            ref readonly var header = ref MemoryMarshal.AsRef<RecordHeader>(bytes);
            var data = bytes[RecordHeaderLength..];
            if (header.Captured <= ByteFeed.Window && (int)header.Captured <= data.Length)
            {
                packet = new CapturedPacket(
                    ++_number, (header.Seconds * 1_000_000_000L) + ((long)header.Fraction * _nanosecondsPerFraction), _link, data[..(int)header.Captured],
                    (int)Math.Min(header.OnWire, int.MaxValue));
                _feed.Take(RecordHeaderLength + (int)header.Captured);
                return true;
            }
        }
        return TryReadAny(out packet);
    }

    /// <summary>Reads a packet whose record may be of another form, or not in the buffer as a whole.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool TryReadAny(out CapturedPacket packet)
    {
        Finish();
        var bytes = _feed.Buffered;
        if (bytes.Length >= _recordHeaderLength)
        {
            ref readonly var header = ref MemoryMarshal.AsRef<RecordHeader>(bytes);
            var length = InOrder(header.Captured);
            if (length <= Math.Min(bytes.Length - _recordHeaderLength, ByteFeed.Window))
            {
                packet = Packet(in header, bytes.Slice(_recordHeaderLength, (int)length));
                _feed.Take(_recordHeaderLength + (int)length);
                return true;
            }
        }
        return TryReadInParts(out packet);
    }

    public void Dispose() => _feed.Dispose();

    private bool TryReadInParts(out CapturedPacket packet)
    {
        packet = default;
        var at = _feed.Position;
        var header = _feed.Peek(_recordHeaderLength);
        if (header.IsEmpty)
        {
            return false;
        }
        if (header.Length < _recordHeaderLength)
        {
            throw new CaptureException($"byte {at}: the file ends within the header of packet {_number + 1}");
        }
        var copy = MemoryMarshal.Read<RecordHeader>(header);   // a longer feed may move it
        var captured = InOrder(copy.Captured);
        if (captured > MaxPacket)
        {
            throw new CaptureException($"byte {at + 8}: packet {_number + 1} claims to have {captured} captured bytes; the file is damaged here or before");
        }
        _feed.Skip(_recordHeaderLength);
        var there = _feed.Available(captured);
        if (there < captured)
        {
            _number++;
            throw CutShort(at, there, captured);
        }
        (_recordAt, _unread) = (at, captured);
        packet = Packet(in copy, _feed.Peek((int)Math.Min(captured, ByteFeed.Window)));
        return true;
    }

    private CapturedPacket Packet(scoped in RecordHeader header, ReadOnlySpan<byte> data) => new(
        ++_number, (InOrder(header.Seconds) * 1_000_000_000L) + ((long)InOrder(header.Fraction) * _nanosecondsPerFraction), _link, data,
        (int)Math.Min(InOrder(header.OnWire), int.MaxValue));

    /// <summary>A number of a record, in the order of bytes of this machine.</summary>
    private uint InOrder(uint number) => _reverses ? BinaryPrimitives.ReverseEndianness(number) : number;

    /// <summary>Leaves the last packet behind.</summary>
    private void Finish()
    {
        if (_unread > 0)
        {
            var (wanted, there) = (_unread, _feed.Skip(_unread));
            _unread = 0;
            if (there < wanted)
            {
                throw CutShort(_recordAt, there, wanted);
            }
        }
    }

    private CaptureException CutShort(long at, long there, long captured) =>
        new($"byte {at}: the file ends within packet {_number}: {there} of its {captured} captured bytes are there");

    private static uint UInt32(ReadOnlySpan<byte> bytes, bool swapped) =>
        swapped ? BinaryPrimitives.ReadUInt32BigEndian(bytes) : BinaryPrimitives.ReadUInt32LittleEndian(bytes);

    private static ushort UInt16(ReadOnlySpan<byte> bytes, bool swapped) =>
        swapped ? BinaryPrimitives.ReadUInt16BigEndian(bytes) : BinaryPrimitives.ReadUInt16LittleEndian(bytes);

    /// <summary>The front of a record, in the order of bytes of the machine that captured it.</summary>
    private readonly record struct RecordHeader(uint Seconds, uint Fraction, uint Captured, uint OnWire);
}
