using Keepalive.Simulator.Lab;
using Xunit;

namespace Keepalive.Simulator.Tests.Lab;

public sealed class ToolTests
{
    [Theory]
    [InlineData("ip", "iproute2")]
    [InlineData("ss", "iproute2")]
    [InlineData("unshare", "util-linux")]
    [InlineData("nsenter", "util-linux")]
    public void Missing_OneTool_NamesItAndItsPackage(string tool, string package)
    {
        var line = Assert.Single(Tool.Missing(name => name != tool));

        Assert.StartsWith(tool + " ", line, StringComparison.Ordinal);
        Assert.Contains(package, line, StringComparison.Ordinal);
    }

    [Fact]
    public void Missing_AllInstalled_IsEmpty() => Assert.Empty(Tool.Missing(_ => true));

    [Fact]
    public void Find_Shell_IsAFile() => Assert.True(File.Exists(Tool.Find("sh")));

    [Fact]
    public void Find_NoSuchTool_IsNull() => Assert.Null(Tool.Find("no-such-tool-anywhere"));
}
