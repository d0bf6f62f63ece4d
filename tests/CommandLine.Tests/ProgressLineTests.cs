using Xunit;

namespace Keepalive.CommandLine.Tests;

public sealed class ProgressLineTests
{
    [Theory]
    [InlineData("12 of 20", 8, "12 of 20")]
    [InlineData("12 of 20", 7, "12 of …")]
    [InlineData("12 of 20", 1, "…")]
    [InlineData("12 of 20", 0, "")]
    [InlineData("12 of 20", -3, "")]
    public void Fit_LongerThanTheTerminal_IsCut(string text, int columns, string expected) => Assert.Equal(expected, ProgressLine.Fit(text, columns));

    /// <summary>A terminal that has become narrower has wrapped the line: the rows above have to be erased too.</summary>
    [Theory]
    [InlineData(0, 80, "\r\e[J")]
    [InlineData(79, 80, "\r\e[J")]
    [InlineData(80, 80, "\r\e[J")]
    [InlineData(79, 40, "\r\e[1A\e[J")]
    [InlineData(79, 20, "\r\e[3A\e[J")]
    [InlineData(79, 0, "\r\e[J")]
    public void Erase_NarrowerTerminal_ReachesTheFirstRow(int length, int width, string expected) => Assert.Equal(expected, ProgressLine.Erase(length, width));
}
