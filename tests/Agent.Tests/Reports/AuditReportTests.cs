using System.Text.Json;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Audit;
using Keepalive.Agent.Reports;
using Keepalive.Agent.Sockets;
using Keepalive.Config.Balancers;
using Keepalive.Linux.Sockets;
using Xunit;

namespace Keepalive.Agent.Tests.Reports;

/// <summary>The words of <c>audit</c> about TCP_USER_TIMEOUT.</summary>
public sealed class AuditReportTests
{
    private const string Command = "keepalive-agent run --keepalive 240s/20s/4\n";

    [Theory]
    [InlineData("With it, 1 lost probe ends it, because of a user timeout of 3s. ", 3_000)]
    [InlineData("With it, 1 lost probe ends 2 of them, because of a user timeout of 3s or more. ", 3_000, 20_000, 0)]
    [InlineData("With it, 3 lost probes end 1 of them, because of a user timeout of 5m. ", 300_000, 0)]
    [InlineData("", 0)]
    [InlineData("", 320_000)]
    public void Protection_SocketsWithAShortUserTimeout_AreSaidToEndEarlier(string words, params int[] timeouts)
    {
        var (text, summary) = Audit(timeouts);
        Assert.Contains(Command + words, text, StringComparison.Ordinal);
        Assert.Equal(words.Length == 0, text.EndsWith(Command, StringComparison.Ordinal));
        Assert.Equal(timeouts.Count(static timeout => timeout is > 0 and < 320_000), summary.GetProperty("protectCutsShort").GetInt32());
    }

    [Fact]
    public void Finding_SocketWithoutKeepalive_HasItsUserTimeout()
    {
        Assert.Contains("no keepalive, user timeout 3s", Audit([3_000]).Text, StringComparison.Ordinal);
        Assert.DoesNotContain("user timeout", Audit([0]).Text, StringComparison.Ordinal);
    }

    private static (string Text, JsonElement Summary) Audit(int[] timeouts)
    {
        var sockets = new AuditedSockets();
        for (var i = 0; i < timeouts.Length; i++)
        {
            sockets.Socket(new SocketRecord
            {
                Namespace = 1,
                Cookie = (ulong)i + 1,
                Local = new SocketEndpoint((UInt128)0xFFFF_0A00_0002, (ushort)(10_000 + i)),
                Remote = new SocketEndpoint((UInt128)0xFFFF_0A00_0003, 443),
                State = TcpState.Established,
                Current = new KeepaliveOptions(false, 7200, 75, 9),
                UserTimeout = timeouts[i],
                Idle = 60_000,
            });
        }

        var report = new AuditReport(new AuditYardstick(BalancerPresets.Find("aws-nlb"), null, TimeSpan.FromSeconds(5)), sockets, new PassSummary { Namespaces = 1 }, withPolicies: false);
        using var text = new StringWriter { NewLine = "\n" };
        report.WriteTable(text);
        using var json = new StringWriter();
        report.WriteJson(json);
        return (text.ToString(), JsonDocument.Parse(json.ToString().TrimEnd().Split('\n')[^1]).RootElement);
    }
}
