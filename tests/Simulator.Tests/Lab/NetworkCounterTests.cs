using Keepalive.Simulator.Lab;
using Xunit;

namespace Keepalive.Simulator.Tests.Lab;

public sealed class NetworkCounterTests
{
    private const string Netstat = """
        TcpExt: SyncookiesSent TCPKeepAlive TCPWinProbe
        TcpExt: 1 6 3
        IpExt: InNoRoutes TCPKeepAlive
        IpExt: 4 9
        """;

    [Theory]
    [InlineData("SyncookiesSent", 1)]
    [InlineData("TCPKeepAlive", 6)]
    [InlineData("TCPWinProbe", 3)]
    public void Parse_Counter_IsItsColumnInTheLineOfValues(string name, long expected) => Assert.Equal(expected, NetworkCounter.Parse(Netstat, name));

    [Theory]
    [InlineData("InNoRoutes")]
    [InlineData("TcpExt:")]
    public void Parse_NoSuchCounter_IsRefused(string name) => Assert.Throws<FormatException>(() => NetworkCounter.Parse(Netstat, name));

    [Fact]
    public void Parse_ThisKernelsFile_HasTheProbes() =>
        Assert.InRange(NetworkCounter.Parse(File.ReadAllText("/proc/net/netstat"), NetworkCounter.KeepaliveProbes), 0, long.MaxValue);
}
