using System.Text.Json;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Audit;
using Keepalive.Agent.Reports;
using Keepalive.Agent.Sockets;
using Keepalive.Config;
using Keepalive.Config.Balancers;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;
using Xunit;

namespace Keepalive.Agent.Tests.Reports;

/// <summary>The words of <c>audit</c> about TCP_USER_TIMEOUT, about the way out, and about connections that it could not judge.</summary>
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

    /// <summary>Regression: the command of the last line was printed also for connections under a policy, which it does not reach.</summary>
    [Theory]
    [InlineData(true, nameof(SocketOutcome.Managed), "change the values of DestinationRule/shop/payments: 240s/20s/4 protects.")]
    [InlineData(false, nameof(SocketOutcome.Kept), "let it replace the application's values, with the annotation keepalive-agent/existing: replace.")]
    [InlineData(false, nameof(SocketOutcome.WouldApply), "let the running agent apply it: it runs with --dry-run.")]
    public void Protection_SocketUnderAPolicyOfTheRunningAgent_IsAChangeOfThePolicy(bool managed, string outcome, string way)
    {
        const string policy = "DestinationRule/shop/payments";
        var agent = new Dictionary<(ulong, ulong), AgentsWord> { [(1, 1)] = new(policy, "shop/payments", managed, Enum.Parse<SocketOutcome>(outcome), null) };
        var one = Socket(1) with { Current = new KeepaliveOptions(true, 400, 10, 9) };
        var (text, summary) = Audit([one], agent: agent);
        Assert.EndsWith($"\n{policy} selects it, and run --keepalive comes after every policy. Instead, {way}\n", text, StringComparison.Ordinal);
        Assert.DoesNotContain("To protect", text, StringComparison.Ordinal);
        Assert.Equal((JsonValueKind.Null, policy), (summary.GetProperty("protect").ValueKind, summary.GetProperty("changePolicies").EnumerateArray().Single().GetString()));

        // The other one is under no policy.
        (text, summary) = Audit([one, Socket(2)], agent: agent);
        Assert.Contains($"To protect 1 of them: {Command}{policy} selects 1 of them, ", text, StringComparison.Ordinal);
        Assert.Equal(Command.TrimEnd(), summary.GetProperty("protect").GetString());
    }

    [Theory]
    [InlineData(400, nameof(SocketOutcome.WouldApply), null, "DestinationRule/shop/payments selects it, and run --keepalive comes after every policy. Instead, change the values")]
    [InlineData(200, nameof(SocketOutcome.WouldApply), null, "To protect it: keepalive-agent run --policies p.yaml --keepalive 240s/20s/4\n")]
    [InlineData(200, nameof(SocketOutcome.Kept), ExistingMode.Keep, "DestinationRule/shop/payments selects it, and run --keepalive comes after every policy. Instead, let it replace")]
    public void Protection_SocketUnderAPolicyOfTheCommandLine_IsTheCommandOnlyIfItsValuesProtect(int time, string outcome, ExistingMode? existing, string last)
    {
        var rule = new CompiledRule
        {
            Policy = "DestinationRule/shop/payments",
            Destination = "shop/payments",
            Settings = new KeepaliveSettings(time, 10, 9),
            Existing = existing,
            Prefix = default,
            Port = 0,
            Position = new SourcePosition("p.yaml", 1, 1),
        };
        var own = new KeepaliveOptions(outcome == nameof(SocketOutcome.Kept), 7200, 75, 9);
        var (text, _) = Audit([Socket(1) with { Rule = rule, Outcome = Enum.Parse<SocketOutcome>(outcome), Current = own, Replaced = own }], withPolicies: true);
        Assert.StartsWith(last, text.Split('\n')[^2] + "\n", StringComparison.Ordinal);
    }

    [Fact]
    public void Summary_NoConnection_SaysThatNothingWasJudged()
    {
        Assert.Contains("\nNo connection was judged, ", Audit([]).Text, StringComparison.Ordinal);
        Assert.DoesNotContain("No connection was judged", Audit([0]).Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, "values unknown\n", "\nNot judged: 1 connection whose values are unknown, because no process that holds it is visible here. ")]
    [InlineData(1, "values unknown\n", "")]
    public void Summary_ConnectionOfAnInvisibleProcess_SaysWhyItsValuesAreUnknown(int pid, string finding, string words)
    {
        var sockets = new AuditedSockets();
        sockets.Socket(new SocketRecord
        {
            Namespace = 1,
            Cookie = 1,
            Local = new SocketEndpoint((UInt128)0xFFFF_0A00_0002, 10_000),
            Remote = new SocketEndpoint((UInt128)0xFFFF_0A00_0003, 443),
            State = TcpState.Established,
            Timer = TcpTimer.Retransmit,
            Pid = pid,
            Idle = 60_000,
        });

        var text = Write(sockets).Text;

        Assert.Contains(finding, text, StringComparison.Ordinal);
        Assert.Equal(words.Length > 0, text.Contains("Not judged", StringComparison.Ordinal));
        Assert.Contains(words, text, StringComparison.Ordinal);
    }

    private static (string Text, JsonElement Summary) Audit(int[] timeouts) =>
        Audit([.. timeouts.Select(static (timeout, index) => Socket((ulong)index + 1) with { UserTimeout = timeout })]);

    private static SocketRecord Socket(ulong cookie) => new()
    {
        Namespace = 1,
        Cookie = cookie,
        Local = new SocketEndpoint((UInt128)0xFFFF_0A00_0002, (ushort)(10_000 + cookie)),
        Remote = new SocketEndpoint((UInt128)0xFFFF_0A00_0003, 443),
        State = TcpState.Established,
        Current = new KeepaliveOptions(false, 7200, 75, 9),
        Idle = 60_000,
    };

    private static (string Text, JsonElement Summary) Audit(
        SocketRecord[] records, bool withPolicies = false, IReadOnlyDictionary<(ulong Namespace, ulong Cookie), AgentsWord>? agent = null)
    {
        var sockets = new AuditedSockets();
        foreach (var record in records)
        {
            sockets.Socket(record);
        }

        return Write(sockets, withPolicies, agent);
    }

    private static (string Text, JsonElement Summary) Write(
        AuditedSockets sockets, bool withPolicies = false, IReadOnlyDictionary<(ulong Namespace, ulong Cookie), AgentsWord>? agent = null)
    {
        var report = new AuditReport(new AuditYardstick(BalancerPresets.Find("aws-nlb"), null, TimeSpan.FromSeconds(5)), sockets, new PassSummary { Namespaces = 1 }, withPolicies, pods: null, agent)
        {
            Policies = withPolicies ? ["p.yaml"] : [],
        };
        using var text = new StringWriter { NewLine = "\n" };
        report.WriteTable(text);
        using var json = new StringWriter();
        report.WriteJson(json);
        return (text.ToString(), JsonDocument.Parse(json.ToString().TrimEnd().Split('\n')[^1]).RootElement);
    }
}
