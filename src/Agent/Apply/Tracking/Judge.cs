using Keepalive.Agent.Sockets;
using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>The decision about a socket: the values to write, and the memory to keep.</summary>
/// <param name="Outcome">Its outcome once <paramref name="Want"/> is in force.</param>
/// <param name="Want">The values to have; equal to the current ones if nothing is to be written.</param>
/// <param name="Memory">The memory to keep; null drops it.</param>
internal readonly record struct Verdict(SocketOutcome Outcome, KeepaliveOptions Want, SocketMemory? Memory);

/// <summary>Decides about a socket from its memory, its values and the policy, without side effects. A socket that bpf set before its
/// first pass is judged as if it had not been set (SocketVisitor).</summary>
internal static class Judge
{
    /// <param name="memory">The memory of the socket; null at its first pass.</param>
    /// <param name="current">The values it has now.</param>
    /// <param name="rule">The rule that selects it; null if none does.</param>
    /// <param name="agentDefault">The agent's <c>--existing</c>, for rules that have none.</param>
    public static Verdict Decide(SocketMemory? memory, KeepaliveOptions current, CompiledRule? rule, ExistingMode agentDefault)
    {
        if (memory is { } known && !known.IsAsLeft(current))
        {
            // The application or another program has written to it since: from now on its values are the application's. If the agent
            // never set the socket, its memory is dropped together with its rule.
            SocketMemory? keep = rule is null && known.Holder == SocketHolder.Kept ? null : SocketMemory.OfApplication;
            return new Verdict(rule is null ? SocketOutcome.Unmanaged : SocketOutcome.Application, current, keep);
        }
        if (memory is { Holder: SocketHolder.Application })
        {
            return new Verdict(rule is null ? SocketOutcome.Unmanaged : SocketOutcome.Application, current, memory);
        }
        var found = memory?.Found ?? current;
        if (rule is null)
        {
            return new Verdict(current == found ? SocketOutcome.Unmanaged : SocketOutcome.Restored, Settable(found, current), null);
        }
        if (!Applies(found, rule, rule.Existing ?? agentDefault))
        {
            var own = Settable(found, current);
            return new Verdict(SocketOutcome.Kept, own, SocketMemory.OfKept(own));
        }
        var target = Settable(Target(found, rule.Settings), current);
        return new Verdict(SocketOutcome.Managed, target, SocketMemory.OfAgent(found, target));
    }

    /// <summary>Whether the policy's values replace the application's own first setting.</summary>
    private static bool Applies(KeepaliveOptions found, CompiledRule rule, ExistingMode mode) => mode switch
    {
        _ when !found.Enabled => true,
        ExistingMode.Replace => true,
        ExistingMode.Keep => false,
        _ => rule.Settings.Time < found.Time,
    };

    private static KeepaliveOptions Target(KeepaliveOptions found, KeepaliveSettings settings) => new(
        Enabled: true,
        settings.Time ?? found.Time,
        settings.Interval ?? found.Interval,
        settings.Probes ?? found.Probes);

    /// <summary>Limits <paramref name="wanted"/> to values that can be written to a socket that has <paramref name="current"/>. A
    /// sysctl's value may be outside the range of a socket's own values. A socket that has its own value cannot return to the
    /// sysctl's.</summary>
    private static KeepaliveOptions Settable(KeepaliveOptions wanted, KeepaliveOptions current)
    {
        return new KeepaliveOptions(
            wanted.Enabled,
            Within(wanted.Time, current.Time, KeepaliveSettings.MaxTime),
            Within(wanted.Interval, current.Interval, KeepaliveSettings.MaxInterval),
            Within(wanted.Probes, current.Probes, KeepaliveSettings.MaxProbes));

        static int Within(int wanted, int current, int most) => wanted == current ? wanted : Math.Clamp(wanted, 1, most);
    }
}
