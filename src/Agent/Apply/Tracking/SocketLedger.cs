using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Linux;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>Keeps account of what is decided and done about a socket, the same for every way of reaching it.</summary>
/// <param name="state">Where intents are noted before a socket is written; null for a dry run, and where no state is kept.</param>
/// <param name="inherited">What a predecessor knew.</param>
internal sealed class SocketLedger(StateFile? state, InheritedSockets inherited)
{
    /// <summary>Decides about a socket whose values are <paramref name="current"/>. Null where nothing is to be written.</summary>
    /// <param name="socket">The socket.</param>
    /// <param name="current">What it has.</param>
    /// <param name="policy">What is in force.</param>
    /// <param name="scope">What is allowed.</param>
    /// <param name="untouched">What a new socket of its namespace has, null where that is not known.</param>
    public Verdict? Decide(
        TrackedSocket socket, KeepaliveOptions current, PolicySnapshot policy, PassScope scope, KeepaliveOptions? untouched = null)
    {
        if (socket is { Current: null, Memory: null } && inherited.MayHaveArrived(current))
        {
            Remember(socket, inherited.Arrived(current, untouched));
        }
        socket.Current = current;
        if (socket is { IsUndecided: true, Memory: not null })
        {
            Settle(socket, SocketOutcome.Managed);
            return null;
        }
        var verdict = Judge.Decide(socket.Memory, current, socket.Rule, policy.Existing);
        if (verdict.Want == current)
        {
            Remember(socket, verdict.Memory);
            Settle(socket, verdict.Outcome);
            return null;
        }
        if (scope.DryRun)
        {
            socket.Replaced = current;
            socket.Current = verdict.Want;
            Settle(socket, verdict.Outcome == SocketOutcome.Managed ? SocketOutcome.WouldApply : SocketOutcome.WouldRestore);
            return null;
        }
        return verdict;
    }

    /// <summary>Whether a socket may be written to although its probes are unanswered: writing TCP_KEEPIDLE would send another probe at once
    /// and count it. Switching keepalive off is harmless, and on the last pass there is nothing to wait for.</summary>
    public static bool EvenIfProbing(Verdict verdict, PassScope scope) => scope.Last && !verdict.Want.Enabled;

    /// <summary>Leaves a socket until its probes are answered.</summary>
    public static void Defer(TrackedSocket socket, PassScope scope)
    {
        socket.Outcome = scope.Last ? SocketOutcome.Failed : SocketOutcome.Deferred;
        socket.Reason = FailureReasons.Probing;
        socket.Unsettled = true;
    }

    /// <summary>Notes what is about to be written; where it cannot be noted, the socket must not be.</summary>
    public bool TryIntend(TrackedSocket socket, KeepaliveOptions current, Verdict verdict)
    {
        try
        {
            state?.Intend(socket.Namespace, socket.Cookie, socket.Memory?.Found ?? current, current, verdict.Want, socket.Rule);
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
        socket.Current = now ?? current;
        if (socket.Current != current)
        {
            socket.Replaced = current;
        }
        if (failure is null && now == verdict.Want)
        {
            socket.Memory = verdict.Memory;
            if (verdict.Memory is not { Holder: SocketHolder.Agent })
            {
                state?.Note(socket.Namespace, socket.Cookie, verdict.Memory);
            }
            Settle(socket, verdict.Outcome);
            return;
        }
        // Whatever part of it was stored is the agent's doing, to be given back like the whole.
        Remember(socket, SocketMemory.OfAgent(socket.Memory?.Found ?? current, socket.Current.Value));
        Fail(socket, failure ?? FailureReasons.ReadBack);
    }

    /// <summary>Takes back an intent that was not carried out.</summary>
    public void Withdraw(TrackedSocket socket) => state?.Note(socket.Namespace, socket.Cookie, socket.Memory);

    /// <summary>Notes that everything intended so far has been done.</summary>
    public void Confirm() => state?.Confirm();

    public static void Fail(TrackedSocket socket, string reason)
    {
        socket.Outcome = SocketOutcome.Failed;
        socket.Reason = reason;
        socket.Unsettled = true;
    }

    public void Remember(TrackedSocket socket, SocketMemory? memory)
    {
        if (memory != socket.Memory)
        {
            socket.Memory = memory;
            state?.Note(socket.Namespace, socket.Cookie, memory);
        }
    }

    private static void Settle(TrackedSocket socket, SocketOutcome outcome)
    {
        socket.Outcome = outcome;
        socket.Reason = null;
        socket.Unsettled = false;
        socket.Attempts = 0;
    }
}
