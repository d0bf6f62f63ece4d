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
