using System.Numerics;
using System.Text.RegularExpressions;
using FsCheck;
using FsCheck.Fluent;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Config.Tests;

public sealed partial class GoDurationTests
{
    private static readonly (string Name, long Nanoseconds)[] s_units =
    [
        ("ns", 1), ("us", 1000), ("µs", 1000), ("μs", 1000), ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];

    [Theory]
    [InlineData("0", 0)]
    [InlineData("+0", 0)]
    [InlineData("-0", 0)]
    [InlineData("700s", 700_000_000_000)]
    [InlineData("1m", 60_000_000_000)]
    [InlineData("1h30m", 5_400_000_000_000)]
    [InlineData("1.5h", 5_400_000_000_000)]
    [InlineData(".5s", 500_000_000)]
    [InlineData("1.s", 1_000_000_000)]
    [InlineData("+5s", 5_000_000_000)]
    [InlineData("-5s", -5_000_000_000)]
    [InlineData("1s500ms", 1_500_000_000)]
    [InlineData("10µs", 10_000)]
    [InlineData("10μs", 10_000)]
    [InlineData("10us", 10_000)]
    [InlineData("1m1m", 120_000_000_000)]
    [InlineData("00005s", 5_000_000_000)]
    [InlineData("0.3333333333333333333h", 1_200_000_000_000)]
    [InlineData("9007199254.740993s", 9_007_199_254_740_993_000)]
    [InlineData("9223372036854775807ns", long.MaxValue)]
    [InlineData("-9223372036854775808ns", long.MinValue)]
    public void Parse_ValidInGo_IsItsNanoseconds(string text, long expected)
    {
        Assert.Equal(GoDurationError.None, GoDuration.Parse(text, out var nanoseconds));
        Assert.Equal(expected, nanoseconds);
    }

    [Theory]
    [InlineData("", GoDurationError.Syntax)]
    [InlineData("+", GoDurationError.Syntax)]
    [InlineData("s", GoDurationError.Syntax)]
    [InlineData(".s", GoDurationError.Syntax)]
    [InlineData("+.s", GoDurationError.Syntax)]
    [InlineData(" 5s", GoDurationError.Syntax)]
    [InlineData("--5s", GoDurationError.Syntax)]
    [InlineData("3", GoDurationError.MissingUnit)]
    [InlineData("700", GoDurationError.MissingUnit)]
    [InlineData("1m30", GoDurationError.MissingUnit)]
    [InlineData("1.", GoDurationError.MissingUnit)]
    [InlineData("1d", GoDurationError.UnknownUnit)]
    [InlineData("1 s", GoDurationError.UnknownUnit)]
    [InlineData("1S", GoDurationError.UnknownUnit)]
    [InlineData("5s ", GoDurationError.UnknownUnit)]
    [InlineData("1m-5s", GoDurationError.UnknownUnit)]
    [InlineData("٣s", GoDurationError.Syntax)]
    [InlineData("9223372036854775808ns", GoDurationError.Overflow)]
    [InlineData("-9223372036854775809ns", GoDurationError.Overflow)]
    [InlineData("9999999999h", GoDurationError.Overflow)]
    [InlineData("99999999999999999999999999s", GoDurationError.Overflow)]
    public void Parse_InvalidInGo_HasAReason(string text, GoDurationError expected) =>
        Assert.Equal(expected, GoDuration.Parse(text, out _));

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Parse_AnyText_AgreesWithTheGrammar()
    {
        var gen = Gen.Elements("0", "1", "7", "25", "9", ".", "s", "m", "h", "ms", "ns", "us", "µs", "d", " ", "+", "-", "e",
            "99999999999999999999")
            .ListOf().Resize(9).Select(parts => string.Concat(parts));
        Prop.ForAll(gen.ToArbitrary(), text =>
        {
            var expected = Reference(text);
            var parsed = GoDuration.TryParse(text, out var actual);
            // Go adds fractions in floating point: the difference is at most a nanosecond per term.
            return parsed == expected is not null && (expected is null || BigInteger.Abs(expected.Value - actual) <= text.Length);
        }).Check(Fuzz.Property(20_000));
    }

    [Theory]
    [InlineData(0, "0s")]
    [InlineData(45, "45s")]
    [InlineData(120, "2m")]
    [InlineData(32767, "9h6m7s")]
    public void FormatSeconds_Seconds_UseTheLargestUnits(long seconds, string expected) =>
        Assert.Equal(expected, GoDuration.FormatSeconds(seconds));

    /// <summary>Exact arithmetic over a regular expression; null for an invalid or too long duration.</summary>
    private static BigInteger? Reference(string text)
    {
        if (Zero().IsMatch(text))
        {
            return 0;
        }

        if (!Grammar().IsMatch(text))
        {
            return null;
        }

        BigInteger total = 0;
        foreach (Match term in Term().Matches(text))
        {
            var unit = s_units.Single(unit => unit.Name == term.Groups[3].Value).Nanoseconds;
            var fraction = term.Groups[2].Value;
            total += BigInteger.Parse("0" + term.Groups[1].Value) * unit;
            total += BigInteger.Parse("0" + fraction) * unit / BigInteger.Pow(10, fraction.Length);
        }

        var negative = text[0] == '-';
        return total > (negative ? BigInteger.One << 63 : long.MaxValue) ? null : negative ? -total : total;
    }

    [GeneratedRegex(@"\A[+-]?0\z")]
    private static partial Regex Zero();

    [GeneratedRegex(@"\A[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+\z")]
    private static partial Regex Grammar();

    [GeneratedRegex(@"([0-9]*)\.?([0-9]*)(ns|us|µs|μs|ms|s|m|h)")]
    private static partial Regex Term();
}
