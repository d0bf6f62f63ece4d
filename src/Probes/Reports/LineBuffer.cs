using System.Buffers;
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
    private const int TimeFractionLength = 7;
    private const int TimeLength = 28;

    private readonly byte[] _time = new byte[TimeLength];
    private long _second = long.MinValue;
    private readonly byte[] _buffer = new byte[64 * 1024];
    private int _used;

    /// <summary>More than any column has.</summary>
    private static ReadOnlySpan<byte> Blanks => "                                                                "u8;

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
            Utf8.FromUtf16(rest, Room(), out var read, out var written, replaceInvalidSequences: true);
            rest = rest[read..];
            _used += written;
        }
        return this;
    }

    /// <param name="value">The number.</param>
    /// <param name="width">Blanks before it fill so many columns.</param>
    public LineBuffer Number(long value, int width = 0)
    {
        var room = Room();
        if (value < 0)
        {
            Utf8Formatter.TryFormat(value, room, out var written);
            _used += written;
            return this;
        }
        var digits = CountDigits((ulong)value);
        var length = Math.Max(width, digits);
        if (length > digits)
        {
            Blanks.CopyTo(room);
        }
        Digits(room.Slice(length - digits, digits), (ulong)value);
        _used += length;
        return this;
    }

    /// <summary>Nanoseconds as milliseconds: <c>0.8</c>, <c>12.345678</c>.</summary>
    public LineBuffer Milliseconds(long nanoseconds)
    {
        var room = Room();
        var written = nanoseconds < 0 ? 1 : 0;
        room[0] = (byte)'-';
        var (whole, fraction) = Math.DivRem((ulong)Math.Abs(nanoseconds), 1_000_000UL);
        var digits = CountDigits(whole);
        Digits(room.Slice(written, digits), whole);
        written += digits;
        if (fraction > 0)
        {
            room[written++] = (byte)'.';
            // Most captures have microseconds.
            (digits, var value) = fraction % 1000 == 0 ? (3, fraction / 1000) : (6, fraction);
            Digits(room.Slice(written, digits), value);
            written += digits;
            while (room[written - 1] == '0')
            {
                written--;
            }
        }
        _used += written;
        return this;
    }

    /// <summary>Nanoseconds since 1970 as in RFC 3339, to the tenth of a microsecond.</summary>
    public LineBuffer Time(long nanoseconds)
    {
        // Most lines are of the same second as the one before.
        var (second, rest) = Math.DivRem(nanoseconds, 1_000_000_000);
        if (rest < 0)
        {
            (second, rest) = (second - 1, rest + 1_000_000_000);
        }
        if (second != _second)
        {
            _second = second;
            Utf8Formatter.TryFormat(DateTime.UnixEpoch.AddTicks(second * TimeSpan.TicksPerSecond), _time, out _, new StandardFormat('O'));
        }
        var room = Room();
        _time.AsSpan(0, TimeLength).CopyTo(room);
        Digits(room.Slice(TimeFraction, TimeFractionLength), (ulong)rest / 100);
        _used += TimeLength;
        return this;
    }

    /// <summary>Text with as many blanks behind it as fill a column, and those between two columns.</summary>
    public LineBuffer Column(ReadOnlySpan<byte> text, int width)
    {
        const int gap = 2;
        var length = Math.Max(text.Length, width) + gap;
        if (length > Blanks.Length)
        {
            return Text(text).Text(Blanks[..gap]);
        }
        // All blanks at once are a few moves; a number that is not known beforehand is a call.
        var room = Room();
        Blanks.CopyTo(room);
        text.CopyTo(room);
        _used += length;
        return this;
    }

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

    private static int CountDigits(ulong value)
    {
        var digits = 1;
        for (; value >= 100; value /= 100)
        {
            digits += 2;
        }
        return value >= 10 ? digits + 1 : digits;
    }

    private static void Digits(Span<byte> into, ulong value)
    {
        for (var i = into.Length - 1; i >= 0; i--)
        {
            (value, var digit) = Math.DivRem(value, 10);
            into[i] = (byte)('0' + digit);
        }
    }

    private Span<byte> Room()
    {
        if (_buffer.Length - _used < Spare)
        {
            Flush();
        }
        return _buffer.AsSpan(_used);
    }
}
