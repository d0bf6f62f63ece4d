using Keepalive.Agent.Serving;
using Xunit;

namespace Keepalive.Agent.Tests.Serving;

/// <summary>Names of endpoints in requests.</summary>
public sealed class EndpointNameTests
{
    [Theory]
    [InlineData("10.0.0.1:443", "10.0.0.1:443")]
    [InlineData("[2001:db8::1]:443", "[2001:db8::1]:443")]
    [InlineData("[2001:0DB8:0:0::1]:443", "[2001:db8::1]:443")]
    [InlineData("[::ffff:10.0.0.1]:65535", "10.0.0.1:65535")]
    public void TryParse_Endpoint_IsCanonical(string text, string expected)
    {
        Assert.True(EndpointName.TryParse(text, out var endpoint));
        Assert.Equal(expected, endpoint.ToString());
    }

    [Theory]
    [InlineData("")]
    [InlineData(":443")]
    [InlineData("10.0.0.1")]
    [InlineData("10.0.0.1:")]
    [InlineData("10.0.0.1:0")]
    [InlineData("10.0.0.1:65536")]
    [InlineData("10.0.0.1:+1")]
    [InlineData("10.0.0.1: 1")]
    [InlineData("10.1:443")]
    [InlineData("0x0a000001:443")]
    [InlineData("010.0.0.1:443")]
    [InlineData("2001:db8::1:443")]
    [InlineData("[10.0.0.1]:443")]
    [InlineData("[fe80::1%eth0]:443")]
    [InlineData("example.org:443")]
    public void TryParse_AnythingElse_IsRefused(string text) => Assert.False(EndpointName.TryParse(text, out _));

    [Theory]
    [InlineData("gzip", true)]
    [InlineData("deflate, GZIP;q=0.5", true)]
    [InlineData("gzip;q=0", false)]
    [InlineData("gzip;q=0.0, identity", false)]
    [InlineData("", false)]
    [InlineData("gzipped", false)]
    public void AcceptsGzip_Header_IsUnderstood(string header, bool expected) => Assert.Equal(expected, AgentPages.AcceptsGzip(header));
}
