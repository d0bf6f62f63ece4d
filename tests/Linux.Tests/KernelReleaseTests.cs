using Xunit;

namespace Keepalive.Linux.Tests;

/// <summary>Releases as distributions write them.</summary>
public sealed class KernelReleaseTests
{
    [Theory]
    [InlineData("6.1.0-56-amd64", "6.1")]
    [InlineData("7.3.4+deb13-amd64", "7.3")]
    [InlineData("5.14.0-570.12.1.el9_6.x86_64", "5.14")]
    [InlineData("6.18-rc4", "6.18")]
    [InlineData("6.18", "6.18")]
    [InlineData("6", null)]
    [InlineData("", null)]
    [InlineData("six.one", null)]
    [InlineData("6.-1", null)]
    public void Parse_Release_IsItsFirstTwoNumbers(string release, string? expected) => Assert.Equal(expected, KernelRelease.Parse(release)?.ToString());

    [Fact]
    public void Text_Here_IsThatOfUname() => Assert.Equal(Environment.OSVersion.Version.ToString(2), KernelRelease.Parse(KernelRelease.Text)?.ToString());
}
