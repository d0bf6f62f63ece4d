using Xunit;

namespace Keepalive.Config.Tests;

/// <summary>Keepalive values in one word.</summary>
public sealed class KeepaliveTextTests
{
    [Theory]
    [InlineData("240s/20s/4", 240, 20, 4)]
    [InlineData("4m/1m30s/9", 240, 90, 9)]
    [InlineData("1s/1s/1", 1, 1, 1)]
    [InlineData("32767s/32767s/127", 32767, 32767, 127)]
    [InlineData("1000ms/2s/3", 1, 2, 3)]
    public void TryParse_Values_AreReadAndWrittenBack(string text, int time, int interval, int probes)
    {
        Assert.True(KeepaliveText.TryParse(text, out var settings, out var problem), problem);
        Assert.Equal(new KeepaliveSettings(time, interval, probes), settings);
        Assert.True(KeepaliveText.TryParse(KeepaliveText.Format(settings), out var again, out _));
        Assert.Equal(settings, again);
    }

    [Theory]
    [InlineData("", "takes TIME/INTERVAL/PROBES like 240s/20s/4, not ''")]
    [InlineData("240s/20s", "takes TIME/INTERVAL/PROBES like 240s/20s/4, not '240s/20s'")]
    [InlineData("240s/20s/4/1", "takes TIME/INTERVAL/PROBES like 240s/20s/4, not '240s/20s/4/1'")]
    [InlineData("240/20s/4", "takes a time of whole seconds like 20s, from 1s to 32767s, not '240'")]
    [InlineData("500ms/20s/4", "takes a time of whole seconds like 20s, from 1s to 32767s, not '500ms'")]
    [InlineData("240s/9h6m8s/4", "takes an interval of whole seconds like 20s, from 1s to 32767s, not '9h6m8s'")]
    [InlineData("240s/20s/0", "takes 1 to 127 probes, not '0'")]
    [InlineData("240s/20s/128", "takes 1 to 127 probes, not '128'")]
    [InlineData("240s/20s/+4", "takes 1 to 127 probes, not '+4'")]
    [InlineData("240s/20s/4s", "takes 1 to 127 probes, not '4s'")]
    public void TryParse_OtherText_IsRefusedWithTheReason(string text, string expected)
    {
        Assert.False(KeepaliveText.TryParse(text, out _, out var problem));
        Assert.Equal(expected, problem);
    }

    /// <summary>An annotation of a pod may have 256 KiB, and each node logs its problem.</summary>
    [Theory]
    [InlineData("{0}")]
    [InlineData("{0}/20s/4")]
    [InlineData("240s/{0}/4")]
    [InlineData("240s/20s/{0}")]
    public void TryParse_LongText_IsNotRepeatedWhole(string text)
    {
        Assert.False(KeepaliveText.TryParse(text.Replace("{0}", new string('x', 100_000), StringComparison.Ordinal), out _, out var problem));
        Assert.InRange(problem.Length, 60, 200);
    }
}
