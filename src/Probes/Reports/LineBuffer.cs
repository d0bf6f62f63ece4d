using System.Buffers;
using System.Buffers.Binary;
using System.Buffers.Text;
using System.Runtime.CompilerServices;
using System.Text.Unicode;

namespace Keepalive.Probes.Reports;

/// <summary>Puts lines of UTF-8 together and writes many at a time, without allocating for any of them.</summary>
internal sealed class LineBuffer(Stream output)
{
    /// <summary>More than any piece of a line that is appended at once.</summary>
    private const int Spare = 256;

    /// <summary>Where the seven digits behind the second are in 2026-11-23T08:12:40.1234567Z.</summary>
    private const int TimeFraction = 20;
    private const int TimeLength = 28;

    private const long NanosecondsPerSecond = 1_000_000_000;

    // The latest second as text, and when it began.
    private readonly byte[] _time = "1970-01-01T00:00:00.0000000Z"u8.ToArray();
    private long _secondBegins;
    private readonly byte[] _buffer = new byte[64 * 1024];
    private int _used;

    // The latest packet's number without its last four digits, and that as text.
    private ulong _tenThousands;
    private ulong _tenThousandsText;
    private int _tenThousandsLength;

    // The latest milliseconds, in nanoseconds, and as text.
    private long _milliseconds = -1;
    private ulong _millisecondsText;
    private ulong _millisecondsTextToo;
    private int _millisecondsLength;

    // Inlined, so that the copy of a constant text is a few moves: a line has a dozen of them.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public LineBuffer Text(ReadOnlySpan<byte> text)
    {
        if (text.TryCopyTo(_buffer.AsSpan(_used)))
        {
            _used += text.Length;
        }
        else
        {
            InParts(text);
        }
        return this;
    }

    public LineBuffer Text(string text)
    {
        for (var rest = text.AsSpan(); !rest.IsEmpty;)
        {
            Utf8.FromUtf16(rest, Room(Spare), out var read, out var written, replaceInvalidSequences: true);
            rest = rest[read..];
            _used += written;
        }
        return this;
    }

    public LineBuffer Number(long value)
    {
        var room = Room(Spare);
        var at = value < 0 ? Utf8Text.Text(room, 0, "-"u8) : 0;
        Add(Utf8Text.Number(room, at, value < 0 ? (ulong)-value : (ulong)value));
        return this;
    }

    /// <summary>Nanoseconds as milliseconds: <c>0.8</c>, <c>12.345678</c>.</summary>
    public LineBuffer Milliseconds(long nanoseconds)
    {
        Add(Utf8Text.Milliseconds(Room(Spare), 0, nanoseconds));
        return this;
    }

    /// <summary>The number of a packet in decimal digits, for <see cref="Room"/>. Returns the place behind it.</summary>
    /// <remarks>The lines are of packets that are close to each other: most numbers begin as the one before.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Frame(Span<byte> room, int at, long number)
    {
        var tenThousands = (ulong)number / 10_000;
        if (tenThousands != _tenThousands || tenThousands == 0)
        {
            return BeginTenThousand(room, at, (ulong)number);
        }
        BinaryPrimitives.WriteUInt64LittleEndian(room[at..], _tenThousandsText);
        at += _tenThousandsLength;
        Utf8Text.FourDigits(room[at..], (uint)((ulong)number - (tenThousands * 10_000)));
        return at + 4;
    }

    /// <summary>Nanoseconds since 1970 as in RFC 3339, to the tenth of a microsecond, for <see cref="Room"/>. Returns the place behind it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Time(Span<byte> room, int at, long nanoseconds)
    {
        // Most lines are of the same second as the one before.
        var rest = nanoseconds - _secondBegins;
        if ((ulong)rest >= NanosecondsPerSecond)
        {
            rest = BeginSecond(nanoseconds);
        }
        _time.AsSpan(0, TimeFraction).CopyTo(room[at..]);
        Utf8Text.SevenDigits(room[(at + TimeFraction)..], (uint)rest / 100, 'Z');
        return at + TimeLength;
    }

    /// <summary>Nanoseconds as milliseconds, for <see cref="Room"/>. Returns the place behind it.</summary>
    /// <remarks>The lines of a probe and of its answer have the same.</remarks>
    /// <param name="room">Has room for 16 bytes at least.</param>
    /// <param name="at">The place in it.</param>
    /// <param name="nanoseconds">Not below 0.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Milliseconds(Span<byte> room, int at, long nanoseconds)
    {
        if (nanoseconds != _milliseconds)
        {
            return BeginMilliseconds(room, at, nanoseconds);
        }
        BinaryPrimitives.WriteUInt64LittleEndian(room[at..], _millisecondsText);
        BinaryPrimitives.WriteUInt64LittleEndian(room[(at + sizeof(ulong))..], _millisecondsTextToo);
        return at + _millisecondsLength;
    }

    /// <summary>The free part of the buffer, at least so many bytes, to be filled from its front.</summary>
    /// <param name="least">At most as many as the buffer has.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Span<byte> Room(int least)
    {
        if (_buffer.Length - _used < least)
        {
            Flush();
        }
        return _buffer.AsSpan(_used);
    }

    /// <summary>Adds what was put into <see cref="Room"/>.</summary>
    public void Add(int count) => _used += count;

    public void Flush()
    {
        if (_used > 0)
        {
            output.Write(_buffer, 0, _used);
            output.Flush();
            _used = 0;
        }
    }

    private void InParts(ReadOnlySpan<byte> text)
    {
        while (text.Length > _buffer.Length - _used)
        {
            var part = text[..(_buffer.Length - _used)];
            part.CopyTo(_buffer.AsSpan(_used));
            _used += part.Length;
            text = text[part.Length..];
            Flush();
        }
        text.CopyTo(_buffer.AsSpan(_used));
        _used += text.Length;
    }

    private int BeginTenThousand(Span<byte> room, int at, ulong number)
    {
        var end = Utf8Text.Number(room, at, number);
        var length = end - at - 4;
        if (length is > 0 and <= sizeof(ulong))
        {
            _tenThousands = number / 10_000;
            _tenThousandsText = BinaryPrimitives.ReadUInt64LittleEndian(room[at..]);
            _tenThousandsLength = length;
        }
        return end;
    }

    private int BeginMilliseconds(Span<byte> room, int at, long nanoseconds)
    {
        var end = Utf8Text.Milliseconds(room, at, nanoseconds);
        if (end - at <= 2 * sizeof(ulong))
        {
            _milliseconds = nanoseconds;
            _millisecondsText = BinaryPrimitives.ReadUInt64LittleEndian(room[at..]);
            _millisecondsTextToo = BinaryPrimitives.ReadUInt64LittleEndian(room[(at + sizeof(ulong))..]);
            _millisecondsLength = end - at;
        }
        return end;
    }

    private long BeginSecond(long nanoseconds)
    {
        var second = Math.DivRem(nanoseconds, NanosecondsPerSecond, out var rest);
        if (rest < 0)
        {
            (second, rest) = (second - 1, rest + NanosecondsPerSecond);
        }
        _secondBegins = second * NanosecondsPerSecond;
        Utf8Formatter.TryFormat(DateTime.UnixEpoch.AddTicks(second * TimeSpan.TicksPerSecond), _time, out _, new StandardFormat('O'));
        return rest;
    }
}
