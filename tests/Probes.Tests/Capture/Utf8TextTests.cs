using System.Globalization;
using System.Text;
using Keepalive.Probes.Reports;
using Xunit;

namespace Keepalive.Probes.Tests.Capture;

/// <summary>Compares the numbers in lines with the runtime's own.</summary>
public sealed class Utf8TextTests
{
    [Fact]
    public void Number_EachLengthAndAroundIt_AsTheRuntimeWritesIt()
    {
        var random = new Random(3);
        var values = Enumerable.Range(0, 20).SelectMany(static digits => Around((ulong)Math.Pow(10, digits)))
            .Concat(Enumerable.Range(0, 64).SelectMany(static bit => Around(1UL << bit)))
            .Concat(Enumerable.Range(0, 100_000).Select(_ => (ulong)random.NextInt64() >> random.Next(63)))
            .Append(ulong.MaxValue);
        var room = new byte[64];
        foreach (var value in values)
        {
            var end = Utf8Text.Number(room, 3, value);

            Assert.Equal(value.ToString(CultureInfo.InvariantCulture), Encoding.UTF8.GetString(room, 3, end - 3));
            Assert.Equal(end - 3, Utf8Text.CountDigits(value));
        }

        static IEnumerable<ulong> Around(ulong value) => [value - 1, value, value + 1];
    }

    [Fact]
    public void Frame_NumbersThatFollowAndThatDoNot_AsTheRuntimeWritesThem()
    {
        var random = new Random(5);
        var numbers = Enumerable.Range(1, 30_000).Select(static number => (long)number)
            .Concat(Enumerable.Range(0, 100_000).Select(_ => random.NextInt64() >> random.Next(63)))
            .Concat(Enumerable.Range(0, 19).SelectMany(static digits => new[] { (long)Math.Pow(10, digits) - 1, (long)Math.Pow(10, digits), (long)Math.Pow(10, digits) + 12_345 }))
            .Append(long.MaxValue);
        var lines = new LineBuffer(Stream.Null);
        var room = new byte[64];
        foreach (var number in numbers)
        {
            // Each twice, and one behind it: then what it begins with is known.
            foreach (var one in (long[])[number, number, Math.Max(0, number - 1)])
            {
                var end = lines.Frame(room, 3, one);

                Assert.Equal(one.ToString(CultureInfo.InvariantCulture), Encoding.UTF8.GetString(room, 3, end - 3));
            }
        }
    }

    [Fact]
    public void Milliseconds_SameAsBeforeAndOthers_AsWithoutTheMemory()
    {
        var random = new Random(6);
        var lines = new LineBuffer(Stream.Null);
        byte[] room = new byte[64], expected = new byte[64];
        // Some have more digits than are remembered.
        foreach (var value in Enumerable.Range(0, 100_000).Select(_ => random.NextInt64() >> random.Next(63)).Append(0).Append(long.MaxValue))
        {
            foreach (var one in (long[])[value, value, value / 1000, value])
            {
                var end = lines.Milliseconds(room, 5, one);

                Assert.Equal(Encoding.UTF8.GetString(expected, 5, Utf8Text.Milliseconds(expected, 5, one) - 5), Encoding.UTF8.GetString(room, 5, end - 5));
            }
        }
    }

    [Theory]
    [InlineData(0, "0")]
    [InlineData(1, "0.000001")]
    [InlineData(50_000, "0.05")]
    [InlineData(999_999, "0.999999")]
    [InlineData(1_000_000, "1")]
    [InlineData(12_345_678, "12.345678")]
    [InlineData(-1_500_000, "-1.5")]
    [InlineData(long.MaxValue, "9223372036854.775807")]
    public void Milliseconds_AnyTime_HasNoTrailingZeros(long nanoseconds, string expected)
    {
        var room = new byte[64];

        Assert.Equal(expected, Encoding.UTF8.GetString(room, 0, Utf8Text.Milliseconds(room, 0, nanoseconds)));
    }

    [Theory]
    [InlineData(0, "1970-01-01T00:00:00.0000000Z")]
    [InlineData(1_700_000_000_999_999_999, "2023-11-14T22:13:20.9999999Z")]
    [InlineData(-1, "1969-12-31T23:59:59.9999999Z")]
    [InlineData(long.MaxValue, "2262-04-11T23:47:16.8547758Z")]
    [InlineData(long.MinValue + 1, "1677-09-21T00:12:43.1452241Z")]
    public void Time_AnySecond_IsInUtc(long nanoseconds, string expected)
    {
        var lines = new LineBuffer(Stream.Null);
        var room = new byte[64];
        // Twice: the second time the second is known.
        foreach (var _ in (int[])[1, 2])
        {
            Assert.Equal(expected, Encoding.UTF8.GetString(room, 0, lines.Time(room, 0, nanoseconds)));
        }
    }
}
