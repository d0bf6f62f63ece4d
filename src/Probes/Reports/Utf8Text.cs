using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace Keepalive.Probes.Reports;

/// <summary>Appends pieces of a line to bytes of a buffer. Each method returns the place behind what it wrote.</summary>
/// <remarks>The place is a local of the caller's, which stays in a register: a line has a dozen pieces of few bytes.</remarks>
internal static class Utf8Text
{
    private const uint HundredMillion = 100_000_000;

    /// <summary>Eight times the character 0.</summary>
    private const ulong Zeros = 0x3030_3030_3030_3030;

    /// <summary>The digits of the numbers from 0 to 99.</summary>
    private static ReadOnlySpan<byte> Pairs =>
        "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"u8
        + "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899"u8;

    /// <summary>The least numbers with one digit more than the index says.</summary>
    private static ReadOnlySpan<ulong> Powers =>
    [
        0, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000, 100_000_000_000, 1_000_000_000_000, 10_000_000_000_000,
        100_000_000_000_000, 1_000_000_000_000_000, 10_000_000_000_000_000, 100_000_000_000_000_000, 1_000_000_000_000_000_000, 10_000_000_000_000_000_000,
    ];

    /// <summary>Constant text.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Text(Span<byte> room, int at, ReadOnlySpan<byte> text)
    {
        text.CopyTo(room[at..]);
        return at + text.Length;
    }

    /// <summary>A number in decimal digits. It needs room for eight at least.</summary>
    public static int Number(Span<byte> room, int at, ulong value)
    {
        if (value < HundredMillion)
        {
            // The last of the eight is there for 0, too.
            var eight = Eight((uint)value);
            var zeros = BitOperations.TrailingZeroCount(eight | (1UL << 56)) / 8;
            BinaryPrimitives.WriteUInt64LittleEndian(room[at..], (eight | Zeros) >> (8 * zeros));
            return at + 8 - zeros;
        }
        var digits = CountDigits(value);
        Digits(room.Slice(at, digits), value);
        return at + digits;
    }

    /// <summary>Nanoseconds as milliseconds: <c>0.8</c>, <c>12.345678</c>.</summary>
    public static int Milliseconds(Span<byte> room, int at, long nanoseconds)
    {
        if (nanoseconds < 0)
        {
            room[at++] = (byte)'-';
        }
        var (whole, fraction) = Math.DivRem((ulong)Math.Abs(nanoseconds), 1_000_000UL);
        if (whole < 10)
        {
            room[at++] = (byte)('0' + whole);
        }
        else
        {
            at = Number(room, at, whole);
        }
        if (fraction > 0)
        {
            room[at++] = (byte)'.';
            // Most captures have microseconds.
            var (digits, value) = fraction % 1000 == 0 ? (3, fraction / 1000) : (6, fraction);
            Digits(room.Slice(at, digits), value);
            at += digits;
            while (room[at - 1] == '0')
            {
                at--;
            }
        }
        return at;
    }

    /// <summary>So many decimal digits of a number as there is room for, with zeros in front.</summary>
    public static void Digits(Span<byte> room, ulong value)
    {
        var at = room.Length;
        while (at >= 2)
        {
            (value, var rest) = Math.DivRem(value, 100);
            at -= 2;
            Pair(room, at, rest);
        }
        if (at > 0)
        {
            room[0] = (byte)('0' + (value % 10));
        }
    }

    /// <summary>The seven digits of a number below 10,000,000 and another character: eight bytes in all.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SevenDigits(Span<byte> room, uint value, char behind) =>
        BinaryPrimitives.WriteUInt64LittleEndian(room, ((Eight(value) | Zeros) >> 8) | ((ulong)behind << 56));

    /// <summary>The digits of a number below 10,000, with zeros in front.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void FourDigits(Span<byte> room, uint value)
    {
        // A product with the reciprocal: exact below 43,699.
        var hundreds = (value * 5243) >> 19;
        BinaryPrimitives.WriteUInt32LittleEndian(room, PairOf(hundreds) | ((uint)PairOf(value - (hundreds * 100)) << 16));
    }

    public static int CountDigits(ulong value)
    {
        // 1233/4096 is a little more than the logarithm of 2 to the base of 10.
        var least = ((BitOperations.Log2(value | 1) + 1) * 1233) >> 12;
        return least + (value >= Powers[least] ? 1 : 0);
    }

    /// <summary>The eight decimal digits of a number below 100,000,000, each a byte, the first in the lowest.</summary>
    /// <remarks>Divides by 10,000, then both halves by 100 at once, then all four quarters by 10: products with the reciprocals, in lanes of one word.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Eight(uint value)
    {
        var upper = value / 10_000;
        var halves = upper | ((ulong)(value - (upper * 10_000)) << 32);
        var hundreds = ((halves * 10_486) >> 20) & 0x0000_007F_0000_007F;
        var quarters = hundreds + ((halves - (hundreds * 100)) << 16);
        var tens = ((quarters * 103) >> 10) & 0x000F_000F_000F_000F;
        return tens + ((quarters - (tens * 10)) << 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Pair(Span<byte> room, int at, ulong value) => BinaryPrimitives.WriteUInt16LittleEndian(room[at..], PairOf((uint)value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ushort PairOf(uint value) => BinaryPrimitives.ReadUInt16LittleEndian(Pairs[((int)value * 2)..]);
}
