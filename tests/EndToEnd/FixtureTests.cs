using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>The test bed itself: what other tests take for granted.</summary>
public sealed class FixtureTests
{
    [Theory]
    [InlineData(Lab.ServerAddress, Lab.ClientAddress)]
    [InlineData(Lab.ServerAddress6, Lab.ClientAddress6)]
    [InlineData(Lab.ServerAddressMapped, "::ffff:10.77.0.1")]
    public void Lab_ConnectionOfEachFamily_HasPinnedKernelValuesAndNoKeepalive(string server, string expectedSource)
    {
        Live.Require();
        using var lab = new Lab();
        int port = lab.Server.Listen();

        int id = lab.Client.Connect(server, port);

        Assert.Equal(expectedSource, lab.Client.LocalEndPoint(id).Address.ToString());
        Assert.Equal(new KeepaliveValues(false, 7200, 75, 9), lab.Client.Get(id));
        Assert.Equal(new KeepaliveValues(false, 7200, 75, 9), lab.Server.Get(SocketId.Accepted(0)));
        Assert.Equal((1, 0), lab.Client.Count());
        Assert.Equal((0, 1), lab.Server.Count());
    }

    [Fact]
    public void Lab_AddedServerAddresses_AreReachable()
    {
        Live.Require();
        using var lab = new Lab();
        int port = lab.Server.Listen();
        lab.AddServerAddress("203.0.113.10");
        lab.AddServerAddress("2001:db8::10");

        int four = lab.Client.Connect("203.0.113.10", port);
        int six = lab.Client.Connect("2001:db8::10", port);

        Assert.Equal(100, lab.Client.Send(four, 100));
        Assert.Equal(100, lab.Client.Send(six, 100));
        Assert.Equal("203.0.113.10", lab.Server.LocalEndPoint(SocketId.Accepted(0)).Address.MapToIPv4().ToString());
        Assert.Equal("2001:db8::10", lab.Server.LocalEndPoint(SocketId.Accepted(1)).Address.ToString());
    }
}
