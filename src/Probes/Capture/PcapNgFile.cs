using System.Buffers.Binary;
using Keepalive.Linux.Packets;

namespace Keepalive.Probes.Capture;

/// <summary>A capture file of the pcapng format (draft-ietf-opsawg-pcapng): sections of blocks, each section in its own byte order.</summary>
internal sealed class PcapNgFile : IPacketSource
{
    private const uint SectionHeader = 0x0A0D0D0A;
    private const uint InterfaceDescription = 1;
    private const uint ObsoletePacket = 2;
    private const uint SimplePacket = 3;
    private const uint EnhancedPacket = 6;
    private const uint ByteOrderMagic = 0x1A2B3C4D;

    /// <summary>Type, length, and the length again at the end.</summary>
    private const int Overhead = 12;
    private const int MaxInterfaces = 65_536;

    private readonly ByteFeed _feed;
    private readonly List<Interface> _interfaces = [];
    private bool _swapped;
    private long _number;

    // The block that was handed out last, and is passed over when the next is asked for.
    private long _blockNumber;
    private long _blockAt;
    private uint _blockLength;
    private long _unread;

    // Where in its body the packet's bytes are, and how many; none in other blocks.
    private (long At, long Captured) _data;

    private PcapNgFile(ByteFeed feed) => _feed = feed;

    /// <summary>Packets left out because nothing is known of their interface's link type.</summary>
    public long Unknown { get; private set; }

    /// <summary>The first of them, and its position.</summary>
    public string? FirstUnknown { get; private set; }

    /// <summary>Null when the file does not begin as one of this format.</summary>
    public static PcapNgFile? TryOpen(ByteFeed feed)
    {
        var header = feed.Peek(4);
        return header.Length == 4 && BinaryPrimitives.ReadUInt32LittleEndian(header) == SectionHeader ? new PcapNgFile(feed) : null;
    }

    public bool TryRead(out CapturedPacket packet)
    {
        packet = default;
        while (NextBlock(out var type, out var length))
        {
            switch (type)
            {
                case InterfaceDescription:
                    AddInterface(length);
                    break;
                case EnhancedPacket or ObsoletePacket:
                    if (TryReadPacket(type, length, out packet))
                    {
                        return true;
                    }
                    break;
                case SimplePacket:
                    if (TryReadSimple(length, out packet))
                    {
                        return true;
                    }
                    break;
            }
        }
        return false;
    }

    public void Dispose() => _feed.Dispose();

    /// <summary>Passes over what is left of the last block, and reads the head of the next. A section's header is dealt with here.</summary>
    /// <param name="type">Its type.</param>
    /// <param name="length">Of its body, which comes next in the feed.</param>
    private bool NextBlock(out uint type, out uint length)
    {
        (type, length) = (0, 0);
        FinishBlock();
        _blockAt = _feed.Position;
        var head = _feed.Peek(Overhead);
        if (head.IsEmpty)
        {
            return false;
        }
        _blockNumber++;
        if (head.Length < Overhead)
        {
            throw new CaptureException($"byte {_blockAt}: the file ends within the head of block {_blockNumber}");
        }
        if (BinaryPrimitives.ReadUInt32LittleEndian(head) == SectionHeader)
        {
            var magic = BinaryPrimitives.ReadUInt32LittleEndian(head[8..]);
            if (magic is not (ByteOrderMagic or 0x4D3C2B1A))
            {
                throw new CaptureException($"byte {_blockAt + 8}: block {_blockNumber} begins a section without the byte-order magic");
            }
            _swapped = magic != ByteOrderMagic;
            _interfaces.Clear();
        }
        type = UInt32(head);
        _blockLength = UInt32(head[4..]);
        if (_blockLength < Overhead || _blockLength % 4 != 0)
        {
            throw new CaptureException($"byte {_blockAt + 4}: block {_blockNumber} claims to be {_blockLength} bytes long; the file is damaged here or before");
        }
        _feed.Skip(8);
        _data = default;
        length = _blockLength - Overhead;
        _unread = _blockLength - 8;
        if (type == SectionHeader)
        {
            CheckVersion(length);
        }
        return true;
    }

    private void CheckVersion(uint length)
    {
        var body = Body(length, needed: 16, "a section header");
        if (UInt16(body[4..]) is var major and not 1)
        {
            throw new CaptureException($"byte {_blockAt + 12}: version {major}.{UInt16(body[6..])} of the format is not known; 1.0 is");
        }
    }

    private void FinishBlock()
    {
        if (_unread == 0)
        {
            return;
        }
        var body = _unread - 4;
        var there = _feed.Skip(body);
        if (there < _data.At + _data.Captured)
        {
            throw PacketCutShort(there);
        }
        if (there < body || _feed.Peek(4) is not { Length: 4 } trailer)
        {
            throw CutShort();
        }
        if (UInt32(trailer) is var again && again != _blockLength)
        {
            throw new CaptureException(
                $"byte {_feed.Position}: block {_blockNumber} begins as {_blockLength} bytes and ends as {again}; the file is damaged here or before");
        }
        _feed.Skip(4);
        _unread = 0;
    }

    /// <summary>The front of a block's body.</summary>
    /// <exception cref="CaptureException">Fewer bytes than are needed, in the block or in the file.</exception>
    private ReadOnlySpan<byte> Body(uint length, int needed, string what)
    {
        if (length < needed)
        {
            throw new CaptureException($"byte {_blockAt}: block {_blockNumber} of {_blockLength} bytes is too short for {what}");
        }
        var body = _feed.Peek((int)Math.Min(length, ByteFeed.Window));
        return body.Length >= needed ? body : throw CutShort();
    }

    private CaptureException CutShort() => new($"byte {_blockAt}: the file ends within block {_blockNumber}, which claims to be {_blockLength} bytes long");

    private CaptureException PacketCutShort(long there) =>
        new($"byte {_blockAt}: the file ends within packet {_number}: {there - _data.At} of its {_data.Captured} captured bytes are there");

    private void AddInterface(uint length)
    {
        var body = Body(length, needed: 8, "an interface description");
        if (_interfaces.Count == MaxInterfaces)
        {
            throw new CaptureException($"byte {_blockAt}: block {_blockNumber} describes an interface beyond the {MaxInterfaces} that a section may have here");
        }
        _interfaces.Add(Interface.Read((LinkType)UInt16(body), UInt32(body[4..]), body[8..], _swapped));
    }

    private bool TryReadPacket(uint type, uint length, out CapturedPacket packet)
    {
        const int fixedLength = 20;
        packet = default;
        var body = Body(length, fixedLength, "a packet");
        // The obsolete block has a count of drops in the upper half.
        var index = type == ObsoletePacket ? UInt16(body) : UInt32(body);
        var ticks = ((ulong)UInt32(body[4..]) << 32) | UInt32(body[8..]);
        var (captured, onWire) = (UInt32(body[12..]), UInt32(body[16..]));
        return TryHandOut(index, ticks, captured, onWire, fixedLength, length, out packet);
    }

    private bool TryReadSimple(uint length, out CapturedPacket packet)
    {
        const int fixedLength = 4;
        packet = default;
        var body = Body(length, fixedLength, "a packet");
        var onWire = UInt32(body);
        var limit = _interfaces.Count > 0 && _interfaces[0].SnapLength > 0 ? _interfaces[0].SnapLength : uint.MaxValue;
        return TryHandOut(0, null, Math.Min(onWire, limit), onWire, fixedLength, length, out packet);
    }

    private bool TryHandOut(
        uint index, ulong? ticks, uint captured, uint onWire, int dataAt, uint length, out CapturedPacket packet)
    {
        packet = default;
        _number++;
        if (captured > length - dataAt)
        {
            throw new CaptureException(
                $"byte {_blockAt}: packet {_number} claims {captured} captured bytes in a block with room for {length - dataAt}; the file is damaged here or before");
        }
        if (index >= _interfaces.Count)
        {
            throw new CaptureException($"byte {_blockAt + 8}: packet {_number} is of interface {index}, which the section does not describe");
        }
        var source = _interfaces[(int)index];
        if (!source.Link.IsKnown())
        {
            Unknown++;
            FirstUnknown ??= $"byte {_blockAt}: packet {_number}: {CaptureFile.UnknownLink(source.Link)}";
            return false;
        }
        _data = (dataAt, captured);
        var end = dataAt + (long)captured;
        if (_feed.Available(end) is var there && there < end)
        {
            throw PacketCutShort(there);
        }
        var data = _feed.Peek((int)Math.Min(end, ByteFeed.Window))[dataAt..];
        packet = new CapturedPacket(
            _number, ticks is { } t ? source.Nanoseconds(t) : CapturedPacket.NoTime, source.Link, data, (int)Math.Min(onWire, int.MaxValue));
        return true;
    }

    private uint UInt32(ReadOnlySpan<byte> bytes) =>
        _swapped ? BinaryPrimitives.ReadUInt32BigEndian(bytes) : BinaryPrimitives.ReadUInt32LittleEndian(bytes);

    private ushort UInt16(ReadOnlySpan<byte> bytes) =>
        _swapped ? BinaryPrimitives.ReadUInt16BigEndian(bytes) : BinaryPrimitives.ReadUInt16LittleEndian(bytes);

    /// <summary>The properties of an interface's packets.</summary>
    /// <param name="Link">Their link type.</param>
    /// <param name="SnapLength">The most that was captured of one; 0 is no limit.</param>
    /// <param name="UnitsPerSecond">Of timestamps.</param>
    /// <param name="OffsetSeconds">Added to timestamps.</param>
    private readonly record struct Interface(LinkType Link, uint SnapLength, ulong UnitsPerSecond, long OffsetSeconds)
    {
        private const ushort EndOfOptions = 0;
        private const ushort TimestampResolution = 9;
        private const ushort TimestampOffset = 14;

        public static Interface Read(LinkType link, uint snapLength, ReadOnlySpan<byte> options, bool swapped)
        {
            var (units, offset) = (1_000_000UL, 0L);
            while (options.Length >= 4)
            {
                var code = swapped ? BinaryPrimitives.ReadUInt16BigEndian(options) : BinaryPrimitives.ReadUInt16LittleEndian(options);
                var length = swapped ? BinaryPrimitives.ReadUInt16BigEndian(options[2..]) : BinaryPrimitives.ReadUInt16LittleEndian(options[2..]);
                options = options[4..];
                if (code == EndOfOptions || length > options.Length)
                {
                    break;
                }
                if (code == TimestampResolution && length == 1)
                {
                    units = Units(options[0]);
                }
                else if (code == TimestampOffset && length == 8)
                {
                    offset = swapped ? BinaryPrimitives.ReadInt64BigEndian(options) : BinaryPrimitives.ReadInt64LittleEndian(options);
                }
                options = options[Math.Min(options.Length, (length + 3) & ~3)..];
            }
            return new Interface(link, snapLength, units, offset);
        }

        /// <summary>Nanoseconds since 1970; wrong, but no more than that, where the file claims what no clock can show.</summary>
        public long Nanoseconds(ulong ticks)
        {
            const long billion = 1_000_000_000;
            var (seconds, rest) = Math.DivRem(ticks, UnitsPerSecond);
            var fraction = (UInt128)rest * billion / UnitsPerSecond;
            return unchecked((((long)seconds + OffsetSeconds) * billion) + (long)fraction);
        }

        /// <summary>A power of ten, or of two where the top bit is set; the finest 64 bits have room for where it is finer.</summary>
        private static ulong Units(byte resolution)
        {
            var exponent = resolution & 0x7F;
            if (resolution > 0x7F)
            {
                return 1UL << Math.Min(exponent, 63);
            }
            var units = 1UL;
            for (var i = 0; i < Math.Min(exponent, 19); i++)
            {
                units *= 10;
            }
            return units;
        }
    }
}
