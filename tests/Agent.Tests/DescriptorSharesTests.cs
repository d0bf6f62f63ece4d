using Keepalive.Agent.Support;
using Keepalive.Linux.Files;
using Xunit;

namespace Keepalive.Agent.Tests;

public sealed class DescriptorSharesTests
{
    [Theory]
    [InlineData(256, 20)]
    [InlineData(1024, 20)]
    [InlineData(1024, 160)]
    [InlineData(20_000, 160)]
    [InlineData(1_073_741_816, 20)]
    [InlineData(ulong.MaxValue, 20)]
    public void Of_Limit_IsNotExceededByAllTogether(ulong limit, int open)
    {
        var shares = DescriptorShares.Of(limit, open);

        Assert.True((ulong)(shares.Connections + shares.Captures + shares.Destroyed + (2L * shares.Namespaces) + open + DescriptorLimit.Reserve) <= limit, shares.ToString());
        Assert.InRange(shares.Captures, 8, 512);
        Assert.InRange(shares.Destroyed, 8, 512);
        Assert.True(shares.Namespaces >= 16, shares.ToString());
    }

    [Theory]
    [InlineData(1024, 20, 200)]
    [InlineData(20_000, 160, 5000)]
    public void Of_Limit_HasRoomForTheNamespacesOfANode(ulong limit, int open, int least) => Assert.True(DescriptorShares.Of(limit, open).Namespaces >= least);

    /// <summary>A quick build holds more descriptors open than its shares leave room for. Descriptors beyond the limit are refused one by
    /// one.</summary>
    [Fact]
    public void Of_LowLimit_HasSomeOfEach()
    {
        var shares = DescriptorShares.Of(256, 200);

        Assert.True(shares is { Connections: > 0, Captures: > 0, Destroyed: > 0, Namespaces: > 0 });
    }
}
