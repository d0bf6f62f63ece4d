using System.Text;
using Keepalive.Agent.Reports;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Sockets;
using Xunit;

namespace Keepalive.Agent.Tests.Reports;

/// <summary>When <c>explain --socket</c> says that the other end was last heard.</summary>
public sealed class SocketExplanationReportTests
{
    private static readonly DateTimeOffset s_now = new(2026, 1, 1, 12, 0, 0, TimeSpan.Zero);

    /// <summary>The agent asks the kernel every ten minutes at times; a capture and the command itself may know better.</summary>
    [Theory]
    [InlineData(30, 3, 2, "2s ago")]
    [InlineData(30, 3, null, "3s ago")]
    [InlineData(30, null, null, "30s ago")]
    [InlineData(4, 300, 4, "4s ago")]
    [InlineData(null, null, 5, "5s ago")]
    [InlineData(null, null, null, "unknown")]
    public void LastHeard_OfSeveralClocks_IsTheLatest(int? heard, int? replied, int? idle, string expected)
    {
        var connection = new AgentsConnection(
            "managed", null, "alive", null, 0, 6, s_now.AddSeconds(-300), Ago(replied), Ago(heard), null, true, null, null, Captured: true);
        var rules = new AgentsExplanation(1, "0.1.0", 1, true, null, null, [], [], [], connection, null);
        var record = new SocketRecord
        {
            Namespace = 1,
            Cookie = 1,
            Local = new SocketEndpoint((UInt128)0xFFFF_0A00_0002, 10_000),
            Remote = new SocketEndpoint((UInt128)0xFFFF_0A00_0003, 443),
            State = TcpState.Established,
            Idle = idle is { } seconds ? (uint)seconds * 1000 : null,
        };
        var text = new StringBuilder();

        new SocketExplanation(record, null, null, RuleSource.Agent, rules, null, s_now).WriteText(text);

        Assert.Matches($"\n  last heard +{expected.Replace("s ago", @"(\.0)?s ago", StringComparison.Ordinal)}\n", text.ToString());
    }

    private static DateTimeOffset? Ago(int? seconds) => seconds is { } some ? s_now.AddSeconds(-some) : null;
}
