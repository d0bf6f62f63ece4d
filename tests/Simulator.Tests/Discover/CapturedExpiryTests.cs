using Xunit;

namespace Keepalive.Simulator.Tests.Discover;

/// <summary>Captures in short: time, direction and flags of one connection's segments.</summary>
public sealed class CapturedExpiryTests
{
    private const string Handshake = "0 >S 0.1 <S. 0.1 >. ";

    [Theory]
    [InlineData("5 <F. 5 >.", "fin-both")]
    [InlineData("5 <R.", "reset-both")]
    [InlineData("6 >. 6.01 <R", "reset-on-next-packet")]
    [InlineData("3 >. 3.01 <. 6 >. 6.01 <R", "reset-on-next-packet")]
    [InlineData("6 >. 6.2 >. 6.4 >. 6.6 >.", "silent-drop")]
    [InlineData("6 >. 6.2 >. 6.4 >. 8 >R. 8.1 >S 8.2 <S.", "drop-until-syn")]
    [InlineData("6 >. 6.2 >. 6.4 >. 8 >R. 8.1 >S 8.2 <. 8.2 >R 9.1 >S 9.2 <S.", "drop-until-syn")]
    [InlineData("6 >. 6.2 >. 6.4 >. 8 >R. 8.1 >S 9.1 >S", "silent-drop")]
    [InlineData("6 >. 6.01 <. 9 >F. 9.01 <F.", null)]
    public void Of_OneConnection_IsWhatItShows(string segments, string? expected) => Assert.Equal(expected, CapturedExpiry.Of(Lines(Handshake + segments), 7000));

    private static IEnumerable<string> Lines(string segments) => segments.Split(' ').Chunk(2).Select(one =>
        $"{1000 + double.Parse(one[0], System.Globalization.CultureInfo.InvariantCulture):0.000000} IP "
        + (one[1][0] == '>' ? "10.0.0.1.40000 > 10.0.0.2.7000" : "10.0.0.2.7000 > 10.0.0.1.40000") + $": Flags [{one[1][1..]}], ack 1, win 502, length 0");
}
