using Keepalive.Agent.Sockets;
using Keepalive.Config.Compilation;
using Keepalive.Linux;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>Keeps account of what is decided and done about a socket, the same for every way of reaching it.</summary>
/// <param name="state">Where intents are noted before a socket is written; null for a dry run, and where no state is kept.</param>
/// <param name="inherited">What a predecessor knew.</param>
/// <param name="counts">Counts what is done.</param>
internal sealed class SocketLedger(StateFile? state, InheritedSockets inherited, ApplyCounts counts)
{
    /// <summary>Whether a socket is one to decide about; one that is not has its outcome when this returns.</summary>
    public bool CanBeSet(TrackedSocket socket, PassScope scope)
    {
        ref var standing = ref socket.Standing;
        ref readonly var seen = ref socket.Seen;
        if (socket.Reach.Barrier is { } barrier)
        {
            Miss(socket, SocketOutcome.Unreachable, barrier);
            return false;
        }
        var hasOptions = seen.HasOptions(scope);
        if (hasOptions && seen.HasFile)
        {
            return true;
        }
        // Connecting, or waiting to be accepted: what its application makes of it first is its own.
        Miss(socket, standing.Rule is null ? SocketOutcome.Unmanaged : SocketOutcome.Pending, hasOptions ? FailureReasons.NotAccepted : null);
        return false;
    }

    /// <summary>Decides about a socket whose values are <paramref name="current"/>. Null where nothing is to be written.</summary>
    /// <param name="socket">The socket.</param>
    /// <param name="current">What it has.</param>
    /// <param name="pass">What is in force, and what is allowed.</param>
    /// <param name="untouched">What a new socket of its namespace has, null where that is not known.</param>
    public Verdict? Decide(TrackedSocket socket, KeepaliveOptions current, PassContext pass, KeepaliveOptions? untouched = null)
    {
        ref var standing = ref socket.Standing;
        if (standing is { Current: null, Memory: null } && inherited.MayHaveArrived(current))
        {
            Remember(socket, inherited.Arrived(current, untouched));
        }
        standing.Read(current);
        if (standing is { IsUndecided: true, Memory: not null })
        {
            standing.Settle(SocketOutcome.Managed);
            return null;
        }
        var verdict = Judge.Decide(standing.Memory, current, standing.Rule, pass.Policy.Existing);
        if (verdict.Want == current)
        {
            Remember(socket, verdict.Memory);
            standing.Settle(verdict.Outcome);
            return null;
        }
        if (pass.Scope.DryRun)
        {
            standing.WouldWrite(current, verdict.Want);
            standing.Settle(verdict.Outcome == SocketOutcome.Managed ? SocketOutcome.WouldApply : SocketOutcome.WouldRestore);
            return null;
        }
        return verdict;
    }

    /// <summary>Whether a verdict may be carried out now; a socket that has probes without an answer is left until they have been answered.</summary>
    public bool MayWrite(TrackedSocket socket, Verdict verdict, bool isProbing, PassScope scope)
    {
        if (!isProbing || EvenIfProbing(verdict, scope))
        {
            return true;
        }
        Defer(socket, scope);
        return false;
    }

    /// <summary>Whether a socket may be written to although its probes are unanswered: writing TCP_KEEPIDLE would send another probe at once
    /// and count it. Switching keepalive off is harmless, and on the last pass there is nothing to wait for.</summary>
    public static bool EvenIfProbing(Verdict verdict, PassScope scope) => scope.Last && !verdict.Want.Enabled;

    /// <summary>Leaves a socket until its probes are answered.</summary>
    public void Defer(TrackedSocket socket, PassScope scope) =>
        Miss(socket, scope.Last ? SocketOutcome.Failed : SocketOutcome.Deferred, FailureReasons.Probing);

    /// <summary>Notes what is about to be written; where it cannot be noted, the socket must not be.</summary>
    public bool TryIntend(TrackedSocket socket, KeepaliveOptions current, Verdict verdict)
    {
        ref var standing = ref socket.Standing;
        try
        {
            state?.Intend(socket.Namespace, socket.Cookie, standing.Memory?.Found ?? current, current, verdict.Want, standing.Rule);
        }
        catch (LinuxException) when (verdict.Memory is not { Holder: SocketHolder.Agent })
        {
            // Giving back needs no note: an interrupted one is done again from what was noted before.
        }
        catch (LinuxException)
        {
            Fail(socket, FailureReasons.StateFile);
            return false;
        }
        return true;
    }

    /// <summary>Takes in what came of a write.</summary>
    /// <param name="socket">The socket.</param>
    /// <param name="current">Its values before.</param>
    /// <param name="verdict">What was to be.</param>
    /// <param name="now">Its values after, null where they could not be read.</param>
    /// <param name="failure">Why it failed, null where it did not.</param>
    public void Conclude(TrackedSocket socket, KeepaliveOptions current, Verdict verdict, KeepaliveOptions? now, string? failure)
    {
        ref var standing = ref socket.Standing;
        standing.Wrote(current, now ?? current);
        if (failure is null && now == verdict.Want)
        {
            standing.Remember(verdict.Memory);
            if (verdict.Memory is not { Holder: SocketHolder.Agent })
            {
                state?.Note(socket.Namespace, socket.Cookie, verdict.Memory);
            }
            standing.Settle(verdict.Outcome);
        }
        else
        {
            // Whatever part of it was stored is the agent's doing, to be given back like the whole.
            Remember(socket, SocketMemory.OfAgent(standing.Memory?.Found ?? current, now ?? current));
            Fail(socket, failure ?? FailureReasons.ReadBack);
        }
        if (standing.Replaced is null)
        {
            return;   // nothing was stored
        }
        if (standing.Outcome is SocketOutcome.Restored or SocketOutcome.Kept)
        {
            counts.CountRestored();
        }
        else
        {
            CountApplied(standing.Rule, socket.Namespace);
        }
    }

    /// <summary>Takes in that it is not known whether a write that was noted was done.</summary>
    public static void Doubt(TrackedSocket socket, KeepaliveOptions current, Verdict verdict)
    {
        ref var standing = ref socket.Standing;
        standing.Remember(new SocketMemory(SocketHolder.Agent, standing.Memory?.Found ?? current, verdict.Want, Replaces: current));
        standing.StayUnsettled();
    }

    /// <summary>Takes back an intent that was not carried out: it is decided about again.</summary>
    public void Withdraw(TrackedSocket socket)
    {
        state?.Note(socket.Namespace, socket.Cookie, socket.Standing.Memory);
        socket.Standing.StayUnsettled();
    }

    /// <summary>Notes that everything intended so far has been done.</summary>
    public void Confirm() => state?.Confirm();

    /// <summary>A call failed.</summary>
    public void Fail(TrackedSocket socket, string reason) => Miss(socket, SocketOutcome.Failed, reason);

    /// <summary>It could not be brought into line: for now, or as often as it is tried.</summary>
    public void Miss(TrackedSocket socket, SocketOutcome outcome, string? reason)
    {
        ref var standing = ref socket.Standing;
        var isFailure = outcome is SocketOutcome.Failed or SocketOutcome.Unreachable && (standing.Rule is not null || standing.Replaced is not null);
        // As often as it is tried in vain, it has failed once.
        if (isFailure && (standing.Outcome != outcome || standing.Reason != reason))
        {
            counts.CountFailure(reason ?? "");
        }
        standing.Miss(outcome, reason);
    }

    /// <summary>There was no time for it, which is no failed try.</summary>
    public void RunOutOfTime(TrackedSocket socket, SocketOutcome outcome, string? reason)
    {
        Miss(socket, outcome, reason);
        socket.Standing.ForgetTries();
    }
    /// <summary>Counts a socket that was set: by a pass, or when it was established.</summary>
    public void CountApplied(CompiledRule? rule, ulong inode)
    {
        if (rule is not null)
        {
            counts.CountApplied(rule.Policy, inode);
        }
    }

    public void Remember(TrackedSocket socket, SocketMemory? memory)
    {
        if (memory != socket.Standing.Memory)
        {
            socket.Standing.Remember(memory);
            state?.Note(socket.Namespace, socket.Cookie, memory);
        }
    }
}
