using System.Buffers.Binary;
using Keepalive.Linux.Packets;

namespace Keepalive.Probes.Capture;

/// <summary>A capture file of libpcap's classic format (draft-ietf-opsawg-pcap), with nanoseconds.</summary>
/// <param name="output">Where it goes. It is written to in whole packets.</param>
/// <param name="link">What its frames begin with.</param>
/// <param name="snapLength">The most that is captured of one, well below 64 KiB.</param>
internal sealed class PcapWriter(Stream output, LinkType link, int snapLength)
{
    private const int FileHeaderLength = 24;
    private const int RecordHeaderLength = 16;

    private readonly byte[] _waiting = new byte[64 * 1024];
    private int _length;
    private int _count;

    /// <summary>Packets that the file has.</summary>
    public long Packets { get; private set; }

    /// <summary>Writes the file's header.</summary>
    public void Begin()
    {
        var header = _waiting.AsSpan(0, _length = FileHeaderLength);
        BinaryPrimitives.WriteUInt32LittleEndian(header, 0xA1B23C4D);
        BinaryPrimitives.WriteUInt16LittleEndian(header[4..], 2);   // version 2.4
        BinaryPrimitives.WriteUInt16LittleEndian(header[6..], 4);
        header[8..16].Clear();
        BinaryPrimitives.WriteInt32LittleEndian(header[16..], snapLength);
        // A live capture's number for raw IP means something else in files.
        BinaryPrimitives.WriteInt32LittleEndian(header[20..], (int)(link == LinkType.RawDlt ? LinkType.Raw : link));
        Flush();
    }

    /// <summary>Takes a packet, which has a time, for the next <see cref="Flush"/>; false where there is no room before that.</summary>
    public bool TryAdd(in CapturedPacket packet)
    {
        var length = RecordHeaderLength + packet.Data.Length;
        if (_length + length > _waiting.Length)
        {
            return false;
        }
        var record = _waiting.AsSpan(_length, length);
        var (seconds, nanoseconds) = Math.DivRem(packet.Time, 1_000_000_000);
        BinaryPrimitives.WriteUInt32LittleEndian(record, (uint)seconds);
        BinaryPrimitives.WriteUInt32LittleEndian(record[4..], (uint)nanoseconds);
        BinaryPrimitives.WriteInt32LittleEndian(record[8..], packet.Data.Length);
        BinaryPrimitives.WriteInt32LittleEndian(record[12..], packet.WireLength);
        packet.Data.CopyTo(record[RecordHeaderLength..]);
        _length += length;
        _count++;
        return true;
    }

    /// <summary>Writes what was taken.</summary>
    public void Flush()
    {
        if (_length > 0)
        {
            output.Write(_waiting, 0, _length);
            Packets += _count;
            (_length, _count) = (0, 0);
        }
    }
}
