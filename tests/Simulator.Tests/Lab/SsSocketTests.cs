using System.Net;
using Keepalive.Simulator.Lab;
using Xunit;

namespace Keepalive.Simulator.Tests.Lab;

public sealed class SsSocketTests
{
    private const string Output = """
        State Recv-Q Send-Q     Local Address:Port           Peer Address:Port Process
        ESTAB 0      0               10.0.0.1:50328          203.0.113.10:15443 timer:(keepalive,11min,0)
        ESTAB 0      36              10.0.0.1:49590          198.51.100.7:5432
        ESTAB 0      0      [::ffff:10.0.0.1]:50334 [::ffff:203.0.113.10]:15443 timer:(keepalive,952ms,3)
        """;

    [Fact]
    public void ParseAll_OutputOfSs_IsASocketForEachLineButTheHeading()
    {
        var sockets = SsSocket.ParseAll(Output);

        Assert.Equal(
        [
            new SsSocket("ESTAB", IPEndPoint.Parse("10.0.0.1:50328"), IPEndPoint.Parse("203.0.113.10:15443"), "keepalive", TimeSpan.FromMinutes(11), 0),
            new SsSocket("ESTAB", IPEndPoint.Parse("10.0.0.1:49590"), IPEndPoint.Parse("198.51.100.7:5432"), null, TimeSpan.Zero, 0),
            new SsSocket("ESTAB", IPEndPoint.Parse("[::ffff:10.0.0.1]:50334"), IPEndPoint.Parse("[::ffff:203.0.113.10]:15443"), "keepalive",
                TimeSpan.FromMilliseconds(952), 3),
        ], sockets);
    }

    [Fact]
    public void ParseAll_NoSockets_IsEmpty() => Assert.Empty(SsSocket.ParseAll("State Recv-Q Send-Q Local Address:Port Peer Address:Port\n"));

    [Theory]
    [InlineData("ESTAB 0 0 10.0.0.1:1")]
    [InlineData("ESTAB 0 0 10.0.0.1:1 10.0.0.2:2 timer:(keepalive,soon,0)")]
    [InlineData("Cannot open netlink socket: Protocol not supported")]
    public void Parse_AnythingElse_IsRefused(string line) => Assert.Throws<FormatException>(() => SsSocket.Parse(line));

    [Theory]
    [InlineData("", 0)]
    [InlineData("028ms", 28)]
    [InlineData("9.712ms", 9_712)]
    [InlineData("59sec", 59_000)]
    [InlineData("1min54sec", 114_000)]
    [InlineData("11min", 660_000)]
    public void ParseTime_AsSsWritesIt_IsRead(string text, int milliseconds) => Assert.Equal(milliseconds, SsSocket.ParseTime(text).TotalMilliseconds);
}
