using System.Buffers;
using System.Globalization;
using System.Text;

namespace Keepalive.Config;

/// <summary>
/// Durations as Go's <c>time.ParseDuration</c> reads them: <c>700s</c>, <c>1h30m</c>, <c>1.5h</c>, <c>.5s</c>, <c>+5s</c>, <c>0</c>.
/// </summary>
/// <remarks>Units ns, us, µs, ms, s, m, h. The range is that of a signed 64-bit count of nanoseconds, about 292 years.</remarks>
public static class GoDuration
{
    /// <summary>Nanoseconds in a millisecond.</summary>
    public const long Millisecond = 1_000_000;

    /// <summary>Nanoseconds in a second.</summary>
    public const long Second = 1_000_000_000;

    private static readonly SearchValues<char> s_numberCharacters = SearchValues.Create(".0123456789");

    /// <summary>Reads a duration; any sign.</summary>
    /// <param name="text">The text, without surrounding space.</param>
    /// <param name="nanoseconds">The duration, or 0.</param>
    public static bool TryParse(ReadOnlySpan<char> text, out long nanoseconds) =>
        Parse(text, out nanoseconds) == GoDurationError.None;

    /// <summary>Reads a duration and says what is wrong when it cannot.</summary>
    public static GoDurationError Parse(ReadOnlySpan<char> text, out long nanoseconds)
    {
        nanoseconds = 0;
        var rest = text;
        var negative = false;
        if (rest is ['-' or '+', ..])
        {
            negative = rest[0] == '-';
            rest = rest[1..];
        }

        if (rest is "0")
        {
            return GoDurationError.None;
        }

        if (rest.IsEmpty)
        {
            return GoDurationError.Syntax;
        }

        // Go counts in unsigned 64 bits so that the most negative value can be written.
        const ulong limit = 1UL << 63;
        UInt128 total = 0;
        while (!rest.IsEmpty)
        {
            var error = ReadTerm(rest, out var length, out var term);
            if (error != GoDurationError.None)
            {
                return error;
            }

            rest = rest[length..];
            total += term;
            if (total > limit)
            {
                return GoDurationError.Overflow;
            }
        }

        if (!negative && total == limit)
        {
            return GoDurationError.Overflow;
        }

        nanoseconds = negative ? unchecked(-(long)(ulong)total) : (long)total;
        return GoDurationError.None;
    }

    /// <summary>Writes a whole number of seconds the way people do: <c>9h6m7s</c>, <c>2m</c>, <c>45s</c>.</summary>
    public static string FormatSeconds(long seconds)
    {
        var text = new StringBuilder();
        foreach (var (unit, size) in (ReadOnlySpan<(char, long)>)[('h', 3600), ('m', 60), ('s', 1)])
        {
            if (seconds >= size)
            {
                text.Append(CultureInfo.InvariantCulture, $"{seconds / size}{unit}");
                seconds %= size;
            }
        }

        return text.Length == 0 ? "0s" : text.ToString();
    }

    /// <summary>Reads one number with its unit from the front of the text.</summary>
    private static GoDurationError ReadTerm(ReadOnlySpan<char> text, out int length, out UInt128 nanoseconds)
    {
        nanoseconds = 0;
        var whole = text[..DigitCount(text)];
        length = whole.Length;
        var fraction = ReadOnlySpan<char>.Empty;
        if (text[length..] is ['.', ..])
        {
            fraction = text[(length + 1)..];
            fraction = fraction[..DigitCount(fraction)];
            length += 1 + fraction.Length;
        }

        if (whole.IsEmpty && fraction.IsEmpty)
        {
            return GoDurationError.Syntax;
        }

        var name = text[length..];
        var end = name.IndexOfAny(s_numberCharacters);
        name = end < 0 ? name : name[..end];
        length += name.Length;
        if (name.IsEmpty)
        {
            return GoDurationError.MissingUnit;
        }

        if (UnitSize(name) is not { } unit)
        {
            return GoDurationError.UnknownUnit;
        }

        // 20 digits of any unit are past the range; leading zeros are not.
        whole = whole.TrimStart('0');
        if (whole.Length > 19)
        {
            return GoDurationError.Overflow;
        }

        nanoseconds = (whole.IsEmpty ? 0 : UInt128.Parse(whole, NumberStyles.None, CultureInfo.InvariantCulture)) * unit;
        nanoseconds += Fraction(fraction, unit);
        return GoDurationError.None;
    }

    /// <summary>In floating point, as Go does it: 0.3333333333333333333h is 20 minutes to the nanosecond.</summary>
    private static ulong Fraction(ReadOnlySpan<char> digits, ulong unit)
    {
        ulong value = 0;
        double scale = 1;
        foreach (var digit in digits)
        {
            // Digits beyond 63 bits are ignored.
            if (value > long.MaxValue / 10 || (value * 10) + (ulong)(digit - '0') > 1UL << 63)
            {
                break;
            }

            value = (value * 10) + (ulong)(digit - '0');
            scale *= 10;
        }

        return (ulong)(value * (unit / scale));
    }

    private static int DigitCount(ReadOnlySpan<char> text)
    {
        var end = text.IndexOfAnyExceptInRange('0', '9');
        return end < 0 ? text.Length : end;
    }

    private static ulong? UnitSize(ReadOnlySpan<char> name) => name switch
    {
        "ns" => 1,
        "us" or "µs" or "μs" => 1000,
        "ms" => Millisecond,
        "s" => Second,
        "m" => 60UL * Second,
        "h" => 3600UL * Second,
        _ => null,
    };
}

/// <summary>Why a duration could not be read.</summary>
public enum GoDurationError
{
    /// <summary>Nothing is wrong.</summary>
    None,

    /// <summary>It is not numbers with units.</summary>
    Syntax,

    /// <summary>A number has no unit behind it.</summary>
    MissingUnit,

    /// <summary>A unit is not one of ns, us, µs, ms, s, m, h.</summary>
    UnknownUnit,

    /// <summary>It does not fit 64 bits of nanoseconds.</summary>
    Overflow,
}
