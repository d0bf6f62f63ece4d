using Keepalive.Agent.Sockets;
using Keepalive.Config.Compilation;
using Keepalive.Linux;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>Records what is decided and done about a socket. Both datapaths use it.</summary>
/// <param name="state">The file in which intents are noted before a socket is written; null for a dry run, and if no state is kept.</param>
/// <param name="inherited">The state of a predecessor.</param>
/// <param name="counts">Counts the changes and the failures.</param>
/// <param name="workloads">Finds the workload of a socket, if the workload decides whether the socket is set; null if it does not.</param>
internal sealed class SocketLedger(StateFile? state, InheritedSockets inherited, ApplyCounts counts, SocketWorkloads? workloads = null)
{
    private bool _isAsking;

    /// <summary>Whether a socket can be decided about. If not, its outcome is set when this returns.</summary>
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
        // It is connecting or waits to be accepted. Its application may still make its own first setting, which the agent must find.
        Miss(socket, standing.Rule is null ? SocketOutcome.Unmanaged : SocketOutcome.Pending, hasOptions ? FailureReasons.NotAccepted : null);
        return false;
    }

    /// <summary>Decides about a socket whose values are <paramref name="current"/>. Returns null if nothing is to be written.</summary>
    /// <param name="socket">The socket.</param>
    /// <param name="current">Its values.</param>
    /// <param name="pass">The policy in force, and the changes that are allowed.</param>
    /// <param name="untouched">The values of a new socket of its namespace; null if unknown.</param>
    public Verdict? Decide(TrackedSocket socket, KeepaliveOptions current, PassContext pass, KeepaliveOptions? untouched = null)
    {
        ref var standing = ref socket.Standing;
        if (standing.Rule is not null && socket is { IsWorkloadOpen: true, Watched: { } watched } && watched.NeedsWorkloads(pass.Policy) && !TrySelectByWorkload(socket, watched, pass))
        {
            return null;
        }
        if (standing is { Current: null, Memory: null } && inherited.MayHaveArrived(current))
        {
            Remember(socket, inherited.Arrived(current, untouched));
        }
        standing.Read(current);
        if (standing is { IsUndecided: true, Memory: { IsAsk: true } interrupted } && current == interrupted.Set)
        {
            var own = interrupted.Replaces!.Value;
            return new Verdict(SocketOutcome.Managed, own, SocketMemory.OfAgent(interrupted.Found, own) with { UserTimeout = interrupted.UserTimeout });
        }
        if (standing is { IsUndecided: true, Memory: not null })
        {
            standing.Settle(SocketOutcome.Managed);
            return null;
        }
        var verdict = Judge.Decide(standing.Memory, current, standing.Rule, pass.Policy.Existing, standing.UserTimeout);
        if (verdict.IsFulfilled(current, standing.UserTimeout))
        {
            Remember(socket, verdict.Memory);
            standing.Settle(verdict.Outcome, verdict.Reason);
            return null;
        }
        if (pass.Scope.DryRun)
        {
            standing.WouldWrite(current, verdict.Want, verdict.UserTimeout ?? standing.UserTimeout);
            standing.Settle(verdict.Outcome == SocketOutcome.Managed ? SocketOutcome.WouldApply : SocketOutcome.WouldRestore);
            return null;
        }
        return verdict;
    }

    /// <summary>Checks whether the policy applies to a socket whose workload was open when its rule was selected. Returns false if the
    /// workload may be known soon.</summary>
    private bool TrySelectByWorkload(TrackedSocket socket, WatchedNamespace watched, PassContext pass)
    {
        ref var standing = ref socket.Standing;
        workloads?.Settle(watched, socket);
        if (socket.IsWorkloadOpen && standing.IsPatient && pass.Scope is { Only: false, Last: false })
        {
            Miss(socket, SocketOutcome.Pending, null);
            return false;
        }
        var policy = watched.PolicyOf(socket.Workload, pass);
        if (!ReferenceEquals(policy, watched.Widest(pass.Policy)))
        {
            var (local, remote) = (socket.Local, socket.Remote);
            var rule = policy.Match(in local, in remote);
            standing.Select(rule is { IsFallback: true } && socket.IsLocal ? null : rule, policy);
        }
        return true;
    }

    /// <summary>Whether a verdict may be carried out now. A socket with unanswered probes waits until they are answered.</summary>
    public bool MayWrite(TrackedSocket socket, in Verdict verdict, bool isProbing, PassScope scope)
    {
        if (!isProbing || EvenIfProbing(verdict, scope))
        {
            return true;
        }
        Defer(socket, scope);
        return false;
    }

    /// <summary>Whether a socket may be written although its probes are unanswered. Writing TCP_KEEPIDLE would send another probe at once
    /// and count it. To switch keepalive off is harmless, and the last pass cannot wait for an answer.</summary>
    public static bool EvenIfProbing(in Verdict verdict, PassScope scope) => scope.Last && !verdict.Want.Enabled;

    /// <summary>Defers a socket until its probes are answered.</summary>
    public void Defer(TrackedSocket socket, PassScope scope) =>
        Miss(socket, scope.Last ? SocketOutcome.Failed : SocketOutcome.Deferred, FailureReasons.Probing);

    /// <summary>Notes the values that are about to be written. If they cannot be noted, the socket must not be written.</summary>
    public bool TryIntend(TrackedSocket socket, KeepaliveOptions current, Verdict verdict)
    {
        ref var standing = ref socket.Standing;
        try
        {
            state?.Intend(
                socket.Namespace, socket.Cookie, standing.Memory?.Found ?? current, current, verdict.Want, standing.Rule, TimeoutOf(in standing, verdict, standing.UserTimeout));
        }
        catch (LinuxException) when (verdict.Memory is not { Holder: SocketHolder.Agent })
        {
            // A restore needs no note: if it is interrupted, it is repeated from the earlier note.
        }
        catch (LinuxException)
        {
            Fail(socket, FailureReasons.StateFile);
            return false;
        }
        return true;
    }

    /// <summary>Prepares the note of the values that are about to be written to a socket. <see cref="TryWritePlans"/> writes those of many
    /// sockets at once.</summary>
    public void Plan(TrackedSocket socket, KeepaliveOptions current, in Verdict verdict)
    {
        ref var standing = ref socket.Standing;
        state?.Plan(
            socket.Namespace, socket.Cookie, standing.Memory?.Found ?? current, current, verdict.Want, standing.Rule, TimeoutOf(in standing, verdict, standing.UserTimeout));
    }

    /// <summary>Writes the prepared notes. Returns false if there is no room for all of them: each socket then needs its own
    /// (<see cref="TryIntend"/>).</summary>
    public bool TryWritePlans() => state?.TryWritePlans() ?? true;

    /// <summary>Begins the changes of many sockets: notes that may be late are written together.</summary>
    public void BeginBulk() => state?.BeginBulk();

    /// <summary>Ends the changes of many sockets.</summary>
    public void EndBulk() => state?.EndBulk();

    /// <summary>Records the result of a write.</summary>
    /// <param name="socket">The socket.</param>
    /// <param name="current">Its values before.</param>
    /// <param name="verdict">The decision.</param>
    /// <param name="now">Its values after; null if they could not be read.</param>
    /// <param name="userTimeout">Its user timeout after; null if it could not be read.</param>
    /// <param name="failure">Why it failed; null if it did not.</param>
    public void Conclude(TrackedSocket socket, KeepaliveOptions current, in Verdict verdict, KeepaliveOptions? now, int? userTimeout, string? failure)
    {
        ref var standing = ref socket.Standing;
        userTimeout ??= standing.UserTimeout;
        var timeout = TimeoutOf(in standing, verdict, userTimeout);
        standing.Wrote(current, now ?? current, userTimeout);
        if (failure is null && now is { } values && verdict.IsFulfilled(values, userTimeout))
        {
            standing.Remember(verdict.Memory);
            if (verdict.Memory is not { Holder: SocketHolder.Agent })
            {
                state?.Note(socket.Namespace, socket.Cookie, verdict.Memory);
            }
            standing.Settle(verdict.Outcome, verdict.Reason);
        }
        else
        {
            // A part of the values may be stored. The agent wrote that part, so it is restored like the whole.
            Remember(socket, SocketMemory.OfAgent(standing.Memory?.Found ?? current, now ?? current) with
            {
                UserTimeout = timeout is { IsApplications: false } part && userTimeout is { } stored ? part with { Replaced = stored, Set = stored } : timeout,
            });
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
            CountApplied(standing.Rule, socket.Namespace, socket.Workload);
        }
    }

    /// <summary>Records that a noted write may or may not have been done.</summary>
    public static void Doubt(TrackedSocket socket, KeepaliveOptions current, Verdict verdict)
    {
        ref var standing = ref socket.Standing;
        standing.Remember(new SocketMemory(SocketHolder.Agent, standing.Memory?.Found ?? current, verdict.Want, Replaces: current)
        {
            UserTimeout = TimeoutOf(in standing, verdict, standing.UserTimeout),
        });
        standing.StayUnsettled();
    }

    /// <summary>Returns the memory of a user timeout while a verdict is carried out.</summary>
    /// <param name="standing">The socket.</param>
    /// <param name="verdict">The decision.</param>
    /// <param name="replaced">The value that is replaced.</param>
    private static UserTimeoutMemory? TimeoutOf(in SocketStanding standing, in Verdict verdict, int? replaced) =>
        verdict.Memory is { UserTimeout: { } remembered } ? remembered.IsApplications ? remembered : remembered with { Replaced = replaced ?? remembered.Set }
        : standing.Memory is { UserTimeout: { IsApplications: false } known } && verdict.UserTimeout is { } own ? new UserTimeoutMemory(own, replaced ?? known.Set, own)
        : null;

    /// <summary>Withdraws an intent that was not carried out: the socket is judged again.</summary>
    public void Withdraw(TrackedSocket socket)
    {
        state?.Note(socket.Namespace, socket.Cookie, socket.Standing.Memory);
        socket.Standing.StayUnsettled();
    }

    /// <summary>Notes that everything intended so far has been done. While sockets are asked, this waits for
    /// <see cref="EndAsking"/>.</summary>
    public void Confirm()
    {
        if (!_isAsking)
        {
            state?.Confirm();
        }
    }

    /// <summary>Begins a time in which sockets have other values. Until its end nothing is noted as done, so the notes keep the sockets'
    /// own values.</summary>
    public void BeginAsking() => _isAsking = true;

    /// <summary>Ends the time that <see cref="BeginAsking"/> began.</summary>
    public void EndAsking()
    {
        _isAsking = false;
        Confirm();
    }

    /// <summary>Notes that a socket is about to be asked. Returns false if that fails; the socket must then not be asked.</summary>
    public bool TryBeginAsk(AskedSocket asked)
    {
        var socket = asked.Socket;
        ref var standing = ref socket.Standing;
        if (standing.Memory is not { } memory)
        {
            return false;
        }
        try
        {
            state?.Intend(socket.Namespace, socket.Cookie, memory.Found, asked.Values, asked.Asking, standing.Rule, memory.UserTimeout);
        }
        catch (LinuxException)
        {
            return false;
        }
        standing.Remember(memory with { Set = asked.Asking, Replaces = asked.Values });
        asked.State = AskState.Written;
        return true;
    }

    /// <summary>Records that a socket was not written after all.</summary>
    public void WithdrawAsk(AskedSocket asked)
    {
        RememberOwn(asked);
        asked.State = AskState.Planned;
    }

    /// <summary>Notes that the values of a socket are about to be restored. If there is no room for the note, the earlier one stays valid,
    /// which contains both sets of values.</summary>
    public void IntendBack(AskedSocket asked)
    {
        var socket = asked.Socket;
        try
        {
            var memory = socket.Standing.Memory!.Value;
            state?.Intend(socket.Namespace, socket.Cookie, memory.Found, asked.Asking, asked.Values, socket.Standing.Rule, memory.UserTimeout);
        }
        catch (LinuxException)
        {
            // The earlier note stays valid.
        }
    }

    /// <summary>Records the values of a socket after they were restored, or were found changed.</summary>
    /// <param name="asked">The socket.</param>
    /// <param name="now">Its values now.</param>
    public void EndAsk(AskedSocket asked, KeepaliveOptions now)
    {
        ref var standing = ref asked.Socket.Standing;
        asked.State = AskState.Done;
        standing.Read(now);
        if (now == asked.Values)
        {
            // This was noted before the write, so it needs no new note.
            standing.Remember(standing.Memory!.Value with { Set = now, Replaces = null });
            return;
        }
        // Its application changed the values meanwhile. The next pass judges the socket again.
        RememberOwn(asked);
        standing.Unsettle();
    }

    /// <summary>Records that it is unknown whether a socket's values were restored. Either the socket is gone with its process, or the next
    /// pass restores the values.</summary>
    public static void LoseAsked(AskedSocket asked)
    {
        ref var standing = ref asked.Socket.Standing;
        standing.Unsettle();
    }

    private void RememberOwn(AskedSocket asked)
    {
        var socket = asked.Socket;
        if (socket.Standing.Memory is { } memory)
        {
            Remember(socket, memory with { Set = asked.Values, Replaces = null });
        }
    }

    /// <summary>Records that a call failed.</summary>
    public void Fail(TrackedSocket socket, string reason) => Miss(socket, SocketOutcome.Failed, reason);

    /// <summary>Records that the policy could not be applied to a socket.</summary>
    public void Miss(TrackedSocket socket, SocketOutcome outcome, string? reason)
    {
        ref var standing = ref socket.Standing;
        var isFailure = outcome is SocketOutcome.Failed or SocketOutcome.Unreachable && (standing.Rule is not null || standing.Replaced is not null);
        // A failure that repeats in later tries is counted once.
        if (isFailure && (standing.Outcome != outcome || standing.Reason != reason))
        {
            counts.CountFailure(reason ?? "");
        }
        standing.Miss(outcome, reason);
    }

    /// <summary>Records that there was no time for a socket. This is not a failed try.</summary>
    public void RunOutOfTime(TrackedSocket socket, SocketOutcome outcome, string? reason)
    {
        Miss(socket, outcome, reason);
        socket.Standing.ForgetTries();
    }
    /// <summary>Counts a socket that was set: by a pass, or when it was established.</summary>
    public void CountApplied(CompiledRule? rule, ulong inode, string workload)
    {
        if (rule is not null)
        {
            counts.CountApplied(rule.Policy, inode, workload);
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
