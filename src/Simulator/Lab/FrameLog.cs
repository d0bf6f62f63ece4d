using System.Buffers.Binary;
using System.Text;
using Keepalive.Simulator.Balancing;

namespace Keepalive.Simulator.Lab;

/// <summary>The fate of a frame, for readers of the capture.</summary>
internal enum FrameFate
{
    /// <summary>It came from the end of this interface.</summary>
    Received,

    /// <summary>The same, and the balancer dropped it.</summary>
    Swallowed,

    /// <summary>It was passed on to the end of this interface.</summary>
    Forwarded,

    /// <summary>The balancer has sent it to the end of this interface by itself.</summary>
    Forged,
}

/// <summary>A capture file with both sides of the balancer (pcapng, draft-ietf-opsawg-pcapng): one interface per side, comments where it acted.</summary>
/// <remarks>A file that cannot be written any more is closed at the last whole frame, and the lab goes on.</remarks>
internal sealed class FrameLog : IDisposable
{
    private const uint SectionHeader = 0x0a0d0d0a;
    private const uint InterfaceDescription = 1;
    private const uint EnhancedPacket = 6;
    private const uint ByteOrderMagic = 0x1a2b3c4d;
    private const ushort Ethernet = 1;
    private const ushort Comment = 1;
    private const ushort InterfaceName = 2;
    private const ushort TimeResolution = 9;
    private const ushort PacketFlags = 2;
    private const ushort UserApplication = 4;
    private const int TagSize = 4;
    private const int AddressesSize = 12;

    private readonly byte[] _block = new byte[4096];
    private readonly byte[] _blocks = new byte[256 * 1024];
    private readonly FileStream _file;
    private int _length;
    private int _waiting;

    private FrameLog(FileStream file) => _file = file;

    /// <summary>Why it was given up; null while all is well.</summary>
    public string? Failure { get; private set; }

    /// <summary>Begins a file.</summary>
    /// <exception cref="IOException">It cannot be made.</exception>
    /// <exception cref="UnauthorizedAccessException">It must not be.</exception>
    public static FrameLog Create(string path)
    {
        var log = new FrameLog(new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.Read, 0));
        log.Begin(SectionHeader);
        log.Write32(ByteOrderMagic);
        log.Write16(1);
        log.Write16(0);
        log.Write64(ulong.MaxValue);
        log.WriteOption(UserApplication, "keepalive-sim lab"u8);
        log.End();
        foreach (var name in new[] { FlowEnd.Client.Name(), FlowEnd.Server.Name() })
        {
            log.Begin(InterfaceDescription);
            log.Write16(Ethernet);
            log.Write16(0);
            log.Write32(0);
            log.WriteOption(InterfaceName, Encoding.UTF8.GetBytes(name));
            // Ten to the power of minus nine: nanoseconds.
            log.WriteOption(TimeResolution, [9]);
            log.End();
        }
        log.Flush();
        return log.Failure is null ? log : throw new IOException(log.Failure);
    }

    /// <summary>Writes one.</summary>
    /// <param name="side">On which side it was seen.</param>
    /// <param name="fate">Its fate.</param>
    /// <param name="frame">Without its outer VLAN tag.</param>
    /// <param name="tag">That tag; 0 for none.</param>
    /// <param name="time">100 ns since 1970.</param>
    public void Write(FlowEnd side, FrameFate fate, ReadOnlySpan<byte> frame, uint tag, long time)
    {
        if (Failure is not null)
        {
            return;
        }
        var nanoseconds = (ulong)time * TimeSpan.NanosecondsPerTick;
        var length = frame.Length + (tag != 0 ? TagSize : 0);
        Begin(EnhancedPacket);
        Write32(side == FlowEnd.Client ? 0u : 1u);
        Write32((uint)(nanoseconds >> 32));
        Write32((uint)nanoseconds);
        Write32((uint)length);
        Write32((uint)length);
        if (tag != 0 && frame.Length >= AddressesSize)
        {
            WriteBytes(frame[..AddressesSize]);
            BinaryPrimitives.WriteUInt32BigEndian(_block.AsSpan(_length), tag);
            _length += TagSize;
            frame = frame[AddressesSize..];
        }
        WriteBytes(frame);
        Pad();
        // Inbound or outbound, seen from the balancer.
        Span<byte> flags = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(flags, fate is FrameFate.Received or FrameFate.Swallowed ? 1u : 2u);
        WriteOption(PacketFlags, flags);
        if (fate is FrameFate.Swallowed or FrameFate.Forged)
        {
            WriteOption(Comment, fate == FrameFate.Swallowed ? "swallowed by the balancer"u8 : "sent by the balancer"u8);
        }
        End();
    }

    /// <summary>Makes what was written so far readable by others.</summary>
    public void Flush()
    {
        if (_waiting == 0 || Failure is not null)
        {
            return;
        }
        var whole = _file.CanSeek ? _file.Position : 0;
        try
        {
            _file.Write(_blocks, 0, _waiting);
        }
        catch (IOException e)
        {
            Failure = e.Message;
            if (_file.CanSeek)
            {
                Cut(whole);
            }
        }
        _waiting = 0;
    }

    public void Dispose()
    {
        Flush();
        try
        {
            _file.Dispose();
        }
        catch (IOException)
        {
            // Flush has told it.
        }
    }

    /// <summary>Takes off what was written in part.</summary>
    private void Cut(long length)
    {
        try
        {
            _file.SetLength(length);
        }
        catch (IOException)
        {
            // It is a pipe, or gone; readers stop at the last whole block anyway.
        }
    }

    private void Begin(uint type)
    {
        _length = 0;
        Write32(type);
        Write32(0);
    }

    private void End()
    {
        // End of options, the length once more, and the length at the beginning.
        Write32(0);
        var total = (uint)_length + 4;
        Write32(total);
        BinaryPrimitives.WriteUInt32LittleEndian(_block.AsSpan(4), total);
        if (_waiting + _length > _blocks.Length)
        {
            Flush();
        }
        _block.AsSpan(0, _length).CopyTo(_blocks.AsSpan(_waiting));
        _waiting += _length;
    }

    private void WriteOption(ushort code, ReadOnlySpan<byte> value)
    {
        Write16(code);
        Write16((ushort)value.Length);
        WriteBytes(value);
        Pad();
    }

    private void WriteBytes(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(_block.AsSpan(_length));
        _length += bytes.Length;
    }

    private void Pad()
    {
        while (_length % 4 != 0)
        {
            _block[_length++] = 0;
        }
    }

    private void Write16(ushort value)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(_block.AsSpan(_length), value);
        _length += 2;
    }

    private void Write32(uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_block.AsSpan(_length), value);
        _length += 4;
    }

    private void Write64(ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(_block.AsSpan(_length), value);
        _length += 8;
    }
}
