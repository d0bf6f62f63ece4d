using Keepalive.Agent.Sockets;
using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>The decision about a socket: the values to write, and the memory to keep.</summary>
/// <param name="Outcome">Its outcome once <paramref name="Want"/> is in force.</param>
/// <param name="Want">The values to have; equal to the current ones if nothing is to be written.</param>
/// <param name="Memory">The memory to keep; null drops it.</param>
internal readonly record struct Verdict(SocketOutcome Outcome, KeepaliveOptions Want, SocketMemory? Memory)
{
    /// <summary>The user timeout to have, in milliseconds; null leaves it as it is.</summary>
    public int? UserTimeout { get; init; }

    /// <summary>Why the policy is not applied, if the outcome does not say it.</summary>
    public string? Reason { get; init; }

    /// <summary>Whether a socket already has all that is wanted.</summary>
    public bool IsFulfilled(KeepaliveOptions current, int? userTimeout) => Want == current && (UserTimeout ?? userTimeout) == userTimeout;
}

/// <summary>Decides about a socket from its memory, its values and the policy, without side effects. A socket that bpf set before its
/// first pass is judged as if it had not been set (SocketVisitor).</summary>
internal static class Judge
{
    /// <param name="memory">The memory of the socket; null at its first pass.</param>
    /// <param name="current">The values it has now.</param>
    /// <param name="rule">The rule that selects it; null if none does.</param>
    /// <param name="agentDefault">The agent's <c>--existing</c>, for rules that have none.</param>
    /// <param name="userTimeout">The user timeout it has now; null if it is unknown, and is then never changed.</param>
    public static Verdict Decide(SocketMemory? memory, KeepaliveOptions current, CompiledRule? rule, ExistingMode agentDefault, int? userTimeout = null)
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
        var timeout = new TimeoutStanding(memory, userTimeout);
        if (rule is null)
        {
            var isOwn = current == found && timeout.Own == userTimeout;
            return new Verdict(isOwn ? SocketOutcome.Unmanaged : SocketOutcome.Restored, Settable(found, current), null) { UserTimeout = timeout.Own };
        }
        var target = Settable(Target(found, rule.Settings), current);
        var reason = rule.UserTimeout.Mode == UserTimeoutMode.Skip && timeout.Own is { } own && IsShort(own, target) ? FailureReasons.UserTimeout : null;
        if (reason is not null || !Applies(found, rule, rule.Existing ?? agentDefault))
        {
            var kept = Settable(found, current);
            return new Verdict(SocketOutcome.Kept, kept, SocketMemory.OfKept(kept)) { UserTimeout = timeout.Own, Reason = reason };
        }
        var (wanted, remembered) = timeout.Choose(rule.UserTimeout, target);
        return new Verdict(SocketOutcome.Managed, target, SocketMemory.OfAgent(found, target) with { UserTimeout = remembered }) { UserTimeout = wanted };
    }

    private static bool IsShort(int timeout, KeepaliveOptions values) => UserTimeout.IsShort(timeout, values.Time, values.Interval, values.Probes);

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

    /// <summary>The user timeout of a socket: the application's, and what the agent has made of it.</summary>
    private readonly struct TimeoutStanding
    {
        private readonly UserTimeoutMemory? _memory;

        public TimeoutStanding(SocketMemory? memory, int? current)
        {
            _memory = memory?.UserTimeout;
            if (current is not { } now)
            {
                return;
            }
            if (_memory is { } known && !known.IsAsLeft(now, memory?.Replaces is not null))
            {
                // The application has written it since: from now on it is the application's. The other values stay with the policy.
                _memory = UserTimeoutMemory.OfApplication(now);
            }
            Own = _memory is { IsApplications: false } set ? set.Found : now;
        }

        /// <summary>The application's own; null if it is unknown.</summary>
        public int? Own { get; }

        /// <summary>Returns the user timeout under a policy, and what to remember of it.</summary>
        public (int? Want, UserTimeoutMemory? Memory) Choose(UserTimeoutChoice choice, KeepaliveOptions values)
        {
            if (Own is not { } own || _memory is { IsApplications: true })
            {
                return (Own, _memory);
            }
            var want = choice.Mode switch
            {
                UserTimeoutMode.Raise when IsShort(own, values) => UserTimeout.Covering(values.Time, values.Interval, values.Probes),
                UserTimeoutMode.Set => choice.Milliseconds,
                _ => own,
            };
            // Also remembered where nothing is written: a later change is the application's.
            return (want, choice.Mode is UserTimeoutMode.Raise or UserTimeoutMode.Set ? new UserTimeoutMemory(own, want, want) : null);
        }
    }
}
