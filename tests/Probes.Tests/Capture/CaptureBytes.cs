using System.Buffers.Binary;
using Keepalive.Linux.Packets;

namespace Keepalive.Probes.Tests.Capture;

/// <summary>Writes capture files of both formats, in either byte order.</summary>
internal sealed class CaptureBytes(bool big = false)
{
    private readonly List<byte> _bytes = [];

    public int Length => _bytes.Count;

    public byte[] ToArray() => [.. _bytes];

    public CaptureBytes Pcap(LinkType link = LinkType.Ethernet, bool nanoseconds = false) =>
        UInt32(nanoseconds ? 0xA1B23C4D : 0xA1B2C3D4).UInt16(2).UInt16(4).UInt32(0).UInt32(0).UInt32(262_144).UInt32((uint)link);

    /// <summary>The "modified" form.</summary>
    public CaptureBytes ModifiedPcap(LinkType link = LinkType.Ethernet) =>
        UInt32(0xA1B2CD34).UInt16(2).UInt16(4).UInt32(0).UInt32(0).UInt32(262_144).UInt32((uint)link);

    public CaptureBytes ModifiedRecord(byte[] frame, uint seconds = 1, uint fraction = 0, uint? onWire = null) =>
        UInt32(seconds).UInt32(fraction).UInt32((uint)frame.Length).UInt32(onWire ?? (uint)frame.Length)
            .UInt32(3).UInt16(0x0800).Bytes([4, 0]).Bytes(frame);

    public CaptureBytes Record(byte[] frame, uint seconds = 1, uint fraction = 0, uint? captured = null, uint? onWire = null) =>
        UInt32(seconds).UInt32(fraction).UInt32(captured ?? (uint)frame.Length).UInt32(onWire ?? (uint)frame.Length).Bytes(frame);

    public CaptureBytes Section() => Block(0x0A0D0D0A, body => body.UInt32(0x1A2B3C4D).UInt16(1).UInt16(0).UInt32(0xFFFFFFFF).UInt32(0xFFFFFFFF));

    public CaptureBytes Interface(LinkType link = LinkType.Ethernet, byte? resolution = null, uint snapLength = 0) => Block(1, body =>
    {
        body.UInt16((ushort)link).UInt16(0).UInt32(snapLength);
        if (resolution is { } value)
        {
            body.UInt16(9).UInt16(1).Bytes([value, 0, 0, 0]).UInt16(0).UInt16(0);
        }
    });

    public CaptureBytes Enhanced(byte[] frame, ulong ticks, uint index = 0, uint? captured = null) => Block(6, body => body
        .UInt32(index).UInt32((uint)(ticks >> 32)).UInt32((uint)ticks).UInt32(captured ?? (uint)frame.Length).UInt32((uint)frame.Length).Padded(frame));

    public CaptureBytes Obsolete(byte[] frame, ulong ticks, ushort index = 0) => Block(2, body => body
        .UInt16(index).UInt16(77).UInt32((uint)(ticks >> 32)).UInt32((uint)ticks).UInt32((uint)frame.Length).UInt32((uint)frame.Length).Padded(frame));

    public CaptureBytes Simple(byte[] frame) => Block(3, body => body.UInt32((uint)frame.Length).Padded(frame));

    public CaptureBytes Block(uint type, Action<CaptureBytes> write)
    {
        var body = new CaptureBytes(big);
        write(body);
        var length = (uint)body.Length + 12;
        return UInt32(type).UInt32(length).Bytes(body.ToArray()).UInt32(length);
    }

    public CaptureBytes UInt32(uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        if (big)
        {
            BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        }
        else
        {
            BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        }
        _bytes.AddRange(bytes);
        return this;
    }

    public CaptureBytes UInt16(ushort value) => Bytes(big ? [(byte)(value >> 8), (byte)value] : [(byte)value, (byte)(value >> 8)]);

    public CaptureBytes Bytes(ReadOnlySpan<byte> bytes)
    {
        _bytes.AddRange(bytes);
        return this;
    }

    private CaptureBytes Padded(byte[] bytes) => Bytes(bytes).Bytes(new byte[(4 - (bytes.Length % 4)) % 4]);
}
