using Xunit;

namespace Keepalive.CommandLine.Tests;

public sealed class WordsTests
{
    [Theory]
    [InlineData(0, 1, "0 %")]
    [InlineData(0.6063, 1, "60.6 %")]
    [InlineData(0.493709, 4, "49.3709 %")]
    [InlineData(1, 1, "100 %")]
    [InlineData(210 / 2000694.0, 1, "0.01 %")]
    [InlineData(1 / 2000694.0, 4, "0.00005 %")]
    [InlineData(0.0123, 1, "1.2 %")]
    [InlineData(0.00123, 1, "0.12 %")]
    public void Percent_OfASmallPart_IsNotZero(double part, int digits, string expected) => Assert.Equal(expected, Words.Percent(part, digits));

    [Theory]
    [InlineData(0, "0")]
    [InlineData(1e-6, "1e-6")]
    [InlineData(9.5367e-7, "9.537e-7")]
    public void Part_ThatIsTiny_IsReadable(double part, string expected) => Assert.Equal(expected, Words.Part(part));
}
