using System.Net;
using Xunit;

namespace Keepalive.Config.Tests;

public sealed class IpPrefixTests
{
    [Theory]
    [InlineData("10.0.0.1", "10.0.0.1", 32, true)]
    [InlineData("0.0.0.0/0", "0.0.0.0/0", 0, true)]
    [InlineData("198.51.100.0/24", "198.51.100.0/24", 24, true)]
    [InlineData("198.51.100.77/24", "198.51.100.0/24", 24, true)]
    [InlineData("::/0", "::/0", 0, false)]
    [InlineData("2001:DB8::1", "2001:db8::1", 128, false)]
    [InlineData("2001:db8:1:2:3::/65", "2001:db8:1:2::/65", 65, false)]
    [InlineData("::ffff:10.0.0.1", "10.0.0.1", 32, true)]
    [InlineData("::ffff:10.0.0.0/104", "10.0.0.0/8", 8, true)]
    [InlineData("::ffff:0:0/96", "0.0.0.0/0", 0, true)]
    [InlineData("::/8", "::/8", 8, false)]
    public void Parse_AddressOrBlock_IsNormalized(string text, string expected, int length, bool isIPv4)
    {
        var prefix = IpPrefix.Parse(text);
        Assert.Equal((expected, length, isIPv4), (prefix.ToString(), prefix.Length, prefix.IsIPv4));
    }

    [Theory]
    [InlineData("")]
    [InlineData("1")]
    [InlineData("10.1")]
    [InlineData("010.0.0.1")]
    [InlineData("0x7f.0.0.1")]
    [InlineData("1.2.3.4.5")]
    [InlineData("1.2.3.256")]
    [InlineData("1.2.3.4/33")]
    [InlineData("1.2.3.4/")]
    [InlineData("1.2.3.4/+8")]
    [InlineData("1.2.3.4/08")]
    [InlineData("1.2.3.4/8/8")]
    [InlineData(" 1.2.3.4")]
    [InlineData("::/129")]
    [InlineData("fe80::1%eth0")]
    [InlineData("[::1]")]
    [InlineData("[::1]:443")]
    [InlineData("1:2:3")]
    [InlineData("example.com")]
    public void TryParse_AnythingElse_IsRefused(string text) => Assert.False(IpPrefix.TryParse(text, out _, out _));

    [Fact]
    public void Contains_IPv4SeenByAnIPv6Socket_IsInIPv4BlocksOnly()
    {
        var mapped = Endpoint.From(new IPEndPoint(IPAddress.Parse("::ffff:10.0.0.1"), 443));
        Assert.Equal(Endpoint.From(new IPEndPoint(IPAddress.Parse("10.0.0.1"), 443)), mapped);
        Assert.True(IpPrefix.Parse("10.0.0.0/8").Contains(mapped.Address));
        Assert.False(IpPrefix.Parse("::/0").Contains(mapped.Address));
        Assert.True(IpPrefix.Parse("::/0").Contains(Endpoint.From(IPAddress.IPv6Loopback, 1).Address));
        Assert.False(IpPrefix.Parse("0.0.0.0/0").Contains(Endpoint.From(IPAddress.IPv6Loopback, 1).Address));
    }

    [Theory]
    [InlineData("10.0.0.1:443")]
    [InlineData("[::1]:443")]
    [InlineData("[2001:db8::1]:65535")]
    [InlineData("255.255.255.255:0")]
    public void Endpoint_FromAndToString_RoundTrip(string text)
    {
        var endpoint = Endpoint.From(IPEndPoint.Parse(text));
        Assert.Equal(text, endpoint.ToString());
        Assert.Equal(IPEndPoint.Parse(text), endpoint.ToIPEndPoint());
    }
}
