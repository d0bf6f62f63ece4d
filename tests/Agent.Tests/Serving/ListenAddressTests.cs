using System.Net;
using Keepalive.Agent.Serving;
using Xunit;

namespace Keepalive.Agent.Tests.Serving;

/// <summary>Addresses to listen on as people write them.</summary>
public sealed class ListenAddressTests
{
    [Theory]
    [InlineData("127.0.0.1:9464", "127.0.0.1:9464")]
    [InlineData("0.0.0.0:9464", "0.0.0.0:9464")]
    [InlineData("[::1]:9464", "[::1]:9464")]
    [InlineData("[::]:9464", "[::]:9464")]
    [InlineData("[fe80::1%1]:9464", "[fe80::1%1]:9464")]
    // An IPv4 address. As an IPv6 address it would be refused where IPv6 is disabled.
    [InlineData("[::ffff:127.0.0.1]:9464", "127.0.0.1:9464")]
    public void Parse_Address_IsThatAddress(string text, string expected) => Assert.Equal(expected, ListenAddress.Parse(text)?.ToString());

    [Fact]
    public void Parse_PortAlone_IsEveryAddress() => Assert.Equal(ListenAddress.Every(9464), ListenAddress.Parse(":9464"));

    [Theory]
    [InlineData("")]
    [InlineData("9464")]
    [InlineData(":")]
    [InlineData(":http")]
    [InlineData(":65536")]
    [InlineData(":-1")]
    [InlineData("::1:9464")]
    [InlineData("::")]
    [InlineData("[::1]")]
    [InlineData("[::1]:")]
    [InlineData("127.0.0.1")]
    [InlineData("127.0.0.1:")]
    [InlineData("127.0.0.1:65536")]
    [InlineData("localhost:9464")]
    [InlineData("*:9464")]
    public void Parse_AnythingElse_IsNull(string text) => Assert.Null(ListenAddress.Parse(text));

    [Fact]
    public void Describe_EveryAddress_NamesBothFamilies()
    {
        Assert.Equal("[::]:9464 (IPv6 and IPv4)", ListenAddress.Describe(new IPEndPoint(IPAddress.IPv6Any, 9464)));
        Assert.Equal("0.0.0.0:9464", ListenAddress.Describe(new IPEndPoint(IPAddress.Any, 9464)));
        Assert.Equal("no address", ListenAddress.Describe(null));
    }
}
