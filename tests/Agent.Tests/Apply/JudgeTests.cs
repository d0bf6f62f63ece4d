using Keepalive.Agent.Apply;
using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Sockets;
using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Sockets;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

/// <summary>The rules for existing values, for later changes and for restoring, as a table.</summary>
public sealed class JudgeTests
{
    // Values are "on,TIME,INTERVAL,PROBES". A policy is "TIME/INTERVAL/PROBES", with "-" for a missing field, or empty.
    [Theory]

    // First pass, keepalive off: the policy's values apply in every mode. Missing fields do not change.
    [InlineData("", "off,7200,75,9", "700/10/20", "tighten", "Managed", "on,700,10,20", "agent off,7200,75,9")]
    [InlineData("", "off,7200,75,9", "700/10/20", "keep", "Managed", "on,700,10,20", "agent off,7200,75,9")]
    [InlineData("", "off,7200,75,9", "-/-/-", "tighten", "Managed", "on,7200,75,9", "agent off,7200,75,9")]
    [InlineData("", "off,60,75,9", "700/-/-", "tighten", "Managed", "on,700,75,9", "agent off,60,75,9")]

    // First pass, the application's own keepalive.
    [InlineData("", "on,7200,75,9", "700/10/20", "tighten", "Managed", "on,700,10,20", "agent on,7200,75,9")]
    [InlineData("", "on,60,75,9", "700/10/20", "tighten", "Kept", "on,60,75,9", "kept on,60,75,9")]
    [InlineData("", "on,700,75,9", "700/10/20", "tighten", "Kept", "on,700,75,9", "kept on,700,75,9")]
    [InlineData("", "on,7200,75,9", "-/10/20", "tighten", "Kept", "on,7200,75,9", "kept on,7200,75,9")]
    [InlineData("", "on,7200,75,9", "700/10/20", "keep", "Kept", "on,7200,75,9", "kept on,7200,75,9")]
    [InlineData("", "on,60,75,9", "700/10/20", "replace", "Managed", "on,700,10,20", "agent on,60,75,9")]
    [InlineData("", "on,700,10,20", "700/10/20", "replace", "Managed", "on,700,10,20", "agent on,700,10,20")]

    // Values that the agent set follow the policy in both directions, always based on the application's values.
    [InlineData("agent off,7200,75,9 on,60,10,6", "on,60,10,6", "700/10/20", "tighten", "Managed", "on,700,10,20", "agent off,7200,75,9")]
    [InlineData("agent off,7200,75,9 on,60,10,6", "on,60,10,6", "-/10/20", "tighten", "Managed", "on,7200,10,20", "agent off,7200,75,9")]
    [InlineData("agent on,300,75,9 on,60,10,6", "on,60,10,6", "700/10/20", "tighten", "Kept", "on,300,75,9", "kept on,300,75,9")]
    [InlineData("agent on,300,75,9 on,60,10,6", "on,60,10,6", "60/10/6", "keep", "Kept", "on,300,75,9", "kept on,300,75,9")]
    [InlineData("kept on,60,75,9", "on,60,75,9", "30/10/20", "tighten", "Managed", "on,30,10,20", "agent on,60,75,9")]

    // Restored when no rule selects the socket any more.
    [InlineData("agent off,7200,75,9 on,60,10,6", "on,60,10,6", "", "tighten", "Restored", "off,7200,75,9", "")]
    [InlineData("agent on,300,75,9 on,300,75,9", "on,300,75,9", "", "tighten", "Unmanaged", "on,300,75,9", "")]
    [InlineData("kept on,60,75,9", "on,60,75,9", "", "tighten", "Unmanaged", "on,60,75,9", "")]

    // A sysctl may have a value that a socket cannot be set to. It stays as long as no rule sets the field, and cannot be restored.
    [InlineData("", "off,100000,0,200", "-/-/-", "tighten", "Managed", "on,100000,0,200", "agent off,100000,0,200")]
    [InlineData("", "off,100000,40000,200", "60/10/6", "tighten", "Managed", "on,60,10,6", "agent off,100000,40000,200")]
    [InlineData("agent off,100000,40000,200 on,60,10,6", "on,60,10,6", "", "tighten", "Restored", "off,32767,32767,127", "")]
    [InlineData("agent off,100000,0,200 on,60,0,200", "on,60,0,200", "", "tighten", "Restored", "off,32767,0,200", "")]
    [InlineData("agent off,100000,75,9 on,60,10,6", "on,60,10,6", "-/10/6", "tighten", "Managed", "on,32767,10,6", "agent off,100000,75,9")]
    [InlineData("agent on,100000,75,9 on,60,10,6", "on,60,10,6", "60/10/6", "keep", "Kept", "on,32767,75,9", "kept on,32767,75,9")]

    // Changed by another process: the values are the application's from then on.
    [InlineData("agent off,7200,75,9 on,60,10,6", "on,61,10,6", "700/10/20", "replace", "Application", "on,61,10,6", "application")]
    [InlineData("agent off,7200,75,9 on,60,10,6", "off,60,10,6", "60/10/6", "replace", "Application", "off,60,10,6", "application")]
    [InlineData("agent off,7200,75,9 on,60,10,6", "on,61,10,6", "", "tighten", "Unmanaged", "on,61,10,6", "application")]
    [InlineData("kept on,60,75,9", "on,50,75,9", "30/10/20", "replace", "Application", "on,50,75,9", "application")]
    [InlineData("kept on,60,75,9", "on,50,75,9", "", "replace", "Unmanaged", "on,50,75,9", "")]
    [InlineData("application", "on,7200,75,9", "30/10/20", "replace", "Application", "on,7200,75,9", "application")]
    [InlineData("application", "off,7200,75,9", "", "replace", "Unmanaged", "off,7200,75,9", "application")]

    // After a crash during a write, any mixture of old and new values is the agent's own. Other values are not.
    [InlineData("open off,7200,75,9 off,7200,75,9 on,60,10,6", "off,7200,75,9", "60/10/6", "keep", "Managed", "on,60,10,6", "agent off,7200,75,9")]
    [InlineData("open off,7200,75,9 off,7200,75,9 on,60,10,6", "on,7200,10,6", "60/10/6", "keep", "Managed", "on,60,10,6", "agent off,7200,75,9")]
    [InlineData("open off,7200,75,9 on,60,10,6 on,30,5,3", "on,60,5,6", "", "keep", "Restored", "off,7200,75,9", "")]
    [InlineData("open off,7200,75,9 off,7200,75,9 on,60,10,6", "on,61,10,6", "60/10/6", "keep", "Application", "on,61,10,6", "application")]
    public void Decide_Case_IsAsListed(string memory, string current, string policy, string mode, string outcome, string want, string remembered)
    {
        var verdict = Judge.Decide(Memory(memory), Values(current), Rule(policy), Enum.Parse<ExistingMode>(mode, ignoreCase: true));
        Assert.Equal(Enum.Parse<SocketOutcome>(outcome), verdict.Outcome);
        Assert.Equal(Values(want), verdict.Want);
        Assert.Equal(remembered, Text(verdict.Memory));
    }

    [Fact]
    public void Decide_RuleSaysReplace_OverridesAgentDefault()
    {
        var rule = Rule("700/10/20")! with { Existing = ExistingMode.Replace };
        Assert.Equal(SocketOutcome.Managed, Judge.Decide(null, Values("on,60,75,9"), rule, ExistingMode.Keep).Outcome);
    }

    // Policy 4 s/2 s/6: 16 s. A memory is "FOUND,REPLACED,SET", with "open" for an unfinished write and "app" for a later change of the
    // application's. The choice is that of the policy, or empty if no rule selects the socket.
    [Theory]

    // The first pass: the value found is the application's own.
    [InlineData("", 0, "keep", "Managed", 0, "")]
    [InlineData("", 3_000, "keep", "Managed", 3_000, "")]
    [InlineData("", 0, "raise", "Managed", 0, "0,0,0")]
    [InlineData("", 3_000, "raise", "Managed", 16_000, "3000,16000,16000")]
    [InlineData("", 16_000, "raise", "Managed", 16_000, "16000,16000,16000")]
    [InlineData("", 20_000, "raise", "Managed", 20_000, "20000,20000,20000")]
    [InlineData("", 0, "skip", "Managed", 0, "")]
    [InlineData("", 16_000, "skip", "Managed", 16_000, "")]
    [InlineData("", 3_000, "skip", "Kept", 3_000, "")]
    [InlineData("", 0, "30s", "Managed", 30_000, "0,30000,30000")]
    [InlineData("", 3_000, "30s", "Managed", 30_000, "3000,30000,30000")]
    [InlineData("", 60_000, "30s", "Managed", 30_000, "60000,30000,30000")]

    // A value that the agent set follows the policy, always based on the application's value.
    [InlineData("3000,3000,16000", 16_000, "raise", "Managed", 16_000, "3000,16000,16000")]
    [InlineData("3000,3000,90000", 90_000, "raise", "Managed", 16_000, "3000,16000,16000")]
    [InlineData("3000,3000,16000", 16_000, "30s", "Managed", 30_000, "3000,30000,30000")]
    [InlineData("3000,3000,16000", 16_000, "keep", "Managed", 3_000, "")]
    [InlineData("3000,3000,16000", 16_000, "skip", "Kept", 3_000, "")]
    [InlineData("3000,3000,16000", 16_000, "", "Restored", 3_000, "")]
    [InlineData("0,0,0", 0, "", "Restored", 0, "")]

    // Changed by the application later: it stays, whatever the policy says, and is not restored. Keepalive stays with the policy.
    [InlineData("0,0,0", 3_000, "raise", "Managed", 3_000, "3000,3000,3000 app")]
    [InlineData("3000,3000,16000", 5_000, "raise", "Managed", 5_000, "5000,5000,5000 app")]
    [InlineData("3000,3000,16000", 3_000, "30s", "Managed", 3_000, "3000,3000,3000 app")]
    [InlineData("5000,5000,5000 app", 5_000, "raise", "Managed", 5_000, "5000,5000,5000 app")]
    [InlineData("5000,5000,5000 app", 16_000, "30s", "Managed", 16_000, "16000,16000,16000 app")]
    [InlineData("5000,5000,5000 app", 5_000, "", "Restored", 5_000, "")]
    [InlineData("5000,5000,5000 app", 5_000, "skip", "Kept", 5_000, "")]

    // After a crash during a write, the value before it is the agent's own, too.
    [InlineData("open 3000,3000,16000", 3_000, "raise", "Managed", 16_000, "3000,16000,16000")]
    [InlineData("open 3000,3000,16000", 16_000, "", "Restored", 3_000, "")]
    [InlineData("open 3000,16000,3000", 16_000, "", "Restored", 3_000, "")]
    [InlineData("open 3000,3000,16000", 4_000, "raise", "Managed", 4_000, "4000,4000,4000 app")]

    // Unknown: it is not changed, and what is remembered of it stays.
    [InlineData("", null, "raise", "Managed", null, "")]
    [InlineData("", null, "skip", "Managed", null, "")]
    [InlineData("3000,3000,16000", null, "30s", "Managed", null, "3000,3000,16000")]
    public void Decide_UserTimeout_IsAsListed(string memory, int? now, string choice, string outcome, int? want, string remembered)
    {
        var (off, on) = (new KeepaliveOptions(false, 7200, 75, 9), new KeepaliveOptions(true, 4, 2, 6));
        Assert.True(UserTimeoutChoice.TryParse(choice.Length == 0 ? "keep" : choice, out var chosen));
        var isOpen = memory.StartsWith("open ", StringComparison.Ordinal);
        int[] parts = [.. memory.Replace("open ", "", StringComparison.Ordinal).Split(' ')[0].Split(',', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse)];
        var known = parts.Length == 0 ? (SocketMemory?)null
            : new SocketMemory(SocketHolder.Agent, off, on, isOpen ? on : null)
            {
                UserTimeout = new UserTimeoutMemory(parts[0], parts[1], parts[2]) { IsApplications = memory.EndsWith("app", StringComparison.Ordinal) },
            };
        var verdict = Judge.Decide(
            known, known is null ? off : on, choice.Length == 0 ? null : Rule("4/2/6")! with { UserTimeout = chosen }, ExistingMode.Tighten, now);
        var wanted = outcome == "Managed" ? on : off;
        Assert.Equal((Enum.Parse<SocketOutcome>(outcome), wanted, want), (verdict.Outcome, verdict.Want, verdict.UserTimeout));
        Assert.Equal(
            remembered,
            verdict.Memory?.UserTimeout is { } kept ? $"{kept.Found},{kept.Replaced},{kept.Set}{(kept.IsApplications ? " app" : "")}" : "");
        Assert.Equal(outcome == "Kept" ? FailureReasons.UserTimeout : null, verdict.Reason);
    }

    [Fact]
    public void Decide_ApplicationsOwnKeepaliveIsKept_SoIsItsUserTimeout()
    {
        var rule = Rule("700/10/20")! with { UserTimeout = new UserTimeoutChoice(UserTimeoutMode.Set, 30_000) };
        var verdict = Judge.Decide(null, Values("on,60,75,9"), rule, ExistingMode.Keep, 3_000);
        Assert.Equal((SocketOutcome.Kept, 3_000, null), (verdict.Outcome, verdict.UserTimeout, verdict.Reason));
        Assert.True(verdict.IsFulfilled(Values("on,60,75,9"), 3_000));
    }

    private static SocketMemory? Memory(string text)
    {
        var words = text.Split(' ');
        return words[0] switch
        {
            "" => null,
            "agent" => SocketMemory.OfAgent(Values(words[1]), words.Length > 2 ? Values(words[2]) : default),
            "kept" => SocketMemory.OfKept(Values(words[1])),
            "open" => new SocketMemory(SocketHolder.Agent, Values(words[1]), Values(words[3]), Replaces: Values(words[2])),
            _ => SocketMemory.OfApplication,
        };
    }

    private static string Text(SocketMemory? memory) => memory switch
    {
        null => "",
        { Replaces: not null } => "open",
        { Holder: SocketHolder.Agent } m => $"agent {Text(m.Found)}",
        { Holder: SocketHolder.Kept } m => $"kept {Text(m.Found)}",
        _ => "application",
    };

    private static string Text(KeepaliveOptions o) => $"{(o.Enabled ? "on" : "off")},{o.Time},{o.Interval},{o.Probes}";

    private static KeepaliveOptions Values(string text)
    {
        var parts = text.Split(',');
        return new KeepaliveOptions(parts[0] == "on", int.Parse(parts[1]), int.Parse(parts[2]), int.Parse(parts[3]));
    }

    private static CompiledRule? Rule(string text)
    {
        if (text.Length == 0)
        {
            return null;
        }
        int?[] fields = [.. text.Split('/').Select(f => f == "-" ? (int?)null : int.Parse(f))];
        return new CompiledRule
        {
            Policy = "n/p",
            Destination = "n/d",
            Settings = new KeepaliveSettings(fields[0], fields[1], fields[2]),
            Prefix = default,
            Port = 0,
            Position = default,
        };
    }
}
