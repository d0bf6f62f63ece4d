using Keepalive.Simulator.Lab;
using Xunit;

namespace Keepalive.Simulator.Tests.Lab;

public sealed class SocketOptionsTests
{
    [Theory]
    [InlineData("on/700/10/20", true, 700, 10, 20)]
    [InlineData("off/7200/75/9", false, 7200, 75, 9)]
    public void Parse_WhatToStringWrote_IsTheSame(string text, bool enabled, int time, int interval, int probes)
    {
        var options = new SocketOptions(enabled, time, interval, probes);

        Assert.Equal(text, options.ToString());
        Assert.Equal(options, SocketOptions.Parse(text));
    }

    [Theory]
    [InlineData("")]
    [InlineData("yes/700/10/20")]
    [InlineData("on/700/10")]
    [InlineData("on/-1/10/20")]
    public void Parse_AnythingElse_IsRefused(string text) => Assert.Throws<FormatException>(() => SocketOptions.Parse(text));
}
