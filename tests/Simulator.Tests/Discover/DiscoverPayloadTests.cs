using System.Text;
using Keepalive.Simulator.Discover;
using Xunit;

namespace Keepalive.Simulator.Tests.Discover;

public sealed class DiscoverPayloadTests
{
    [Theory]
    [InlineData("", "")]
    [InlineData("PING", "PING")]
    [InlineData(@"PING\r\n", "PING\r\n")]
    [InlineData(@"\\\t\\n", "\\\t\\n")]
    [InlineData(@"\x00\x7fé", "\0\x7fé")]
    public void Unescape_KnownEscapes_AreTheirBytes(string text, string expected) =>
        Assert.Equal(Encoding.UTF8.GetBytes(expected), DiscoverPayload.Unescape(text, out _));

    [Fact]
    public void Unescape_Hexadecimal_IsOneByte() => Assert.Equal([0x16, 0xFF, (byte)'a'], DiscoverPayload.Unescape(@"\x16\xffa", out _)!);

    /// <summary>Regression: unknown escapes were sent as they were written.</summary>
    [Theory]
    [InlineData(@"a\q", @"'\q' is not known")]
    [InlineData(@"a\", @"'\' is not known")]
    [InlineData(@"\x1", @"'\x1' is not known")]
    [InlineData(@"\x1g0", @"'\x1g' is not known")]
    public void Unescape_UnknownEscape_IsAProblem(string text, string expected)
    {
        Assert.Null(DiscoverPayload.Unescape(text, out var problem));
        Assert.StartsWith(expected, problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/", null)]
    [InlineData("/a?b=c%20d", null)]
    [InlineData("a", "takes a path, like /healthz")]
    [InlineData("/a b", "takes a path as a request line has it: a space is written %20")]
    [InlineData("/a\r\nX: y", "takes a path as a request line has it: U+000D is written %0D")]
    [InlineData("/é", "takes a path as a request line has it: U+00E9 is written %C3%A9")]
    public void Path_NotOfARequestLine_IsAProblem(string path, string? expected) => Assert.Equal(expected, DiscoverPayload.ProblemOfPath(path));

    [Theory]
    [InlineData("example.org:80", "example.org")]
    [InlineData("example.org:8080", "example.org:8080")]
    [InlineData("[2001:db8::1]:80", "[2001:db8::1]")]
    public void Http_Host_HasItsPortUnlessItIsTheDefault(string target, string host) =>
        Assert.Equal($"GET /a HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive\r\n\r\n", Encoding.ASCII.GetString(DiscoverPayload.Http("/a", DiscoveryTarget.TryParse(target)!)));
}
