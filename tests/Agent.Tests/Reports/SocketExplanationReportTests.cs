using System.Text;
using System.Text.Json;
using Keepalive.Agent.Reports;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Sockets;
using Xunit;

namespace Keepalive.Agent.Tests.Reports;

/// <summary>What <c>explain --socket</c> says of a socket.</summary>
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

    /// <summary>A connection of an application to its sidecar has the same ends as the sidecar's own to the destination.</summary>
    [Theory]
    [InlineData(true, "stays in this network namespace")]
    [InlineData(false, "leaves this network namespace")]
    public void Path_OfAConnection_SaysWhetherItLeavesTheNamespace(bool isLocal, string expected)
    {
        var record = Connected with { IsLocal = isLocal };
        Assert.Matches($"\n  path +{expected}", Text(record, Nothing));
        Assert.Equal(!isLocal, Json(record, Nothing).GetProperty("leavesNamespace").GetBoolean());
    }

    [Fact]
    public void Result_OfAListeningSocket_SaysThatPoliciesAreForConnections()
    {
        var record = Connected with { State = TcpState.Listen, Remote = default, Current = new KeepaliveOptions(false, 7200, 75, 9) };
        var text = Text(record, null);
        Assert.Matches("\n  result +it listens and has no connection; ", text);
        Assert.Matches("\n  time +7200s: the socket's own", text);
        Assert.DoesNotMatch("\n  (path|timer|last heard|other end)", text);
        Assert.StartsWith("it listens", Json(record, null).GetProperty("result").GetString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false, "no policy selects it; it is not changed")]
    [InlineData(true, "no policy selects it; it is not changed. This end accepted the connection, on port 10000: without --side both, policies select by the remote end")]
    public void Result_OfAnAcceptedEnd_NamesTheOptionThatSelectsIt(bool isAccepted, string expected)
    {
        var json = Json(Connected, Nothing, isAccepted);
        Assert.Equal((expected, isAccepted), (json.GetProperty("result").GetString(), json.GetProperty("accepted").GetBoolean()));
    }

    private static SocketRecord Connected => new()
    {
        Namespace = 1,
        Cookie = 1,
        Local = new SocketEndpoint((UInt128)0xFFFF_0A00_0002, 10_000),
        Remote = new SocketEndpoint((UInt128)0xFFFF_0A00_0003, 443),
        State = TcpState.Established,
        Idle = 2000,
    };

    /// <summary>The answer of an agent whose policies do not select the socket.</summary>
    private static AgentsExplanation Nothing => new(1, "0.1.0", 1, true, null, null, [], [], [], null, null);

    private static string Text(SocketRecord record, AgentsExplanation? rules)
    {
        var text = new StringBuilder();
        Explanation(record, rules, isAccepted: false).WriteText(text);
        return text.ToString();
    }

    private static JsonElement Json(SocketRecord record, AgentsExplanation? rules, bool isAccepted = false) =>
        JsonDocument.Parse(AgentJson.Lines.Of(Explanation(record, rules, isAccepted).WriteJson)).RootElement;

    private static SocketExplanation Explanation(SocketRecord record, AgentsExplanation? rules, bool isAccepted) =>
        new(record, null, null, rules is null ? RuleSource.None : RuleSource.Agent, rules, null, s_now) { IsAccepted = isAccepted };

    private static DateTimeOffset? Ago(int? seconds) => seconds is { } some ? s_now.AddSeconds(-some) : null;
}
