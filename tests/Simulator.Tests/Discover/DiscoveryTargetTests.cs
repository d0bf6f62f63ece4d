using Keepalive.Simulator.Discover;
using Xunit;

namespace Keepalive.Simulator.Tests.Discover;

/// <summary>HOST:PORT as it is given on the command line.</summary>
public sealed class DiscoveryTargetTests
{
    [Theory]
    [InlineData("example.org:443", "example.org", 443)]
    [InlineData("192.0.2.1:80", "192.0.2.1", 80)]
    [InlineData("[2001:db8::1]:5432", "2001:db8::1", 5432)]
    public void Text_HostAndPort_IsReadAndWrittenAlike(string text, string host, int port)
    {
        Assert.Equal(new DiscoveryTarget(host, port), DiscoveryTarget.TryParse(text));
        Assert.Equal(text, DiscoveryTarget.TryParse(text)!.ToString());
    }

    [Theory]
    [InlineData("example.org")]
    [InlineData(":443")]
    [InlineData("example.org:0")]
    [InlineData("example.org:65536")]
    [InlineData("example.org:https")]
    [InlineData("2001:db8::1:443")]
    [InlineData("[192.0.2.1]:443")]
    [InlineData("a b:1")]
    public void Text_AnythingElse_IsRefused(string text) => Assert.Null(DiscoveryTarget.TryParse(text));
}
