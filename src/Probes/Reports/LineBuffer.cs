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

    private readonly byte[] _time = new byte[28];
    private long _second = long.MinValue;
    private readonly byte[] _buffer = new byte[64 * 1024];
    private int _used;

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

    public LineBuffer Number(long value, int width = 0)
    {
        var room = Room();
        Utf8Formatter.TryFormat(value, room, out var written);
        return Padded(room, written, width);
    }

    /// <summary>Nanoseconds as milliseconds: <c>0.8</c>, <c>12.345678</c>.</summary>
    public LineBuffer Milliseconds(long nanoseconds, int width = 0)
    {
        var room = Room();
        var sign = nanoseconds < 0 ? 1 : 0;
        room[0] = (byte)'-';
        var (whole, fraction) = Math.DivRem((ulong)Math.Abs(nanoseconds), 1_000_000UL);
        Utf8Formatter.TryFormat(whole, room[sign..], out var written);
        written += sign;
        if (fraction > 0)
        {
            room[written++] = (byte)'.';
            // Most captures have microseconds.
            var (digits, value) = fraction % 1000 == 0 ? (3, fraction / 1000) : (6, fraction);
            Digits(room.Slice(written, digits), (uint)value);
            written += digits;
            while (room[written - 1] == '0')
            {
                written--;
            }
        }
        return Padded(room, written, width);
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
        Digits(_time.AsSpan(TimeFraction, 7), (uint)(rest / 100));
        return Text(_time);
    }

    /// <summary>Text with as many blanks behind it as fill a column.</summary>
    public LineBuffer Column(ReadOnlySpan<byte> text, int width)
    {
        var blanks = "                                "u8;
        Text(text);
        for (var missing = width - text.Length; missing > 0; missing -= blanks.Length)
        {
            Text(blanks[..Math.Min(missing, blanks.Length)]);
        }
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

    private static void Digits(Span<byte> into, uint value)
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

    private LineBuffer Padded(Span<byte> room, int written, int width)
    {
        if (written < width)
        {
            room[..written].CopyTo(room[(width - written)..]);
            room[..(width - written)].Fill((byte)' ');
            written = width;
        }
        _used += written;
        return this;
    }
}
