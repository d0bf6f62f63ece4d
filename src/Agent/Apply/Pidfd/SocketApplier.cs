using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Linux;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>Reads one socket, lets <see cref="Judge"/> decide, writes what differs and reads it back.</summary>
/// <param name="state">Where intents are noted before a socket is written; null for a dry run, and where no state is kept.</param>
internal sealed class SocketApplier(StateFile? state)
{
    /// <summary>Sockets whose values were read since the last reset.</summary>
    public int Read { get; set; }

    /// <summary>Brings <paramref name="socket"/> into line with its rule and leaves the result in it.</summary>
    public void Apply(in DuplicatedSocket descriptor, TrackedSocket socket, PolicySnapshot policy, PassScope scope)
    {
        var errno = descriptor.TryGetOptions(out var current);
        if (errno != 0)
        {
            Fail(socket, errno == Errno.ENOPROTOOPT ? FailureReasons.Multipath : Errno.Name(errno));
            return;
        }
        Read++;
        socket.Current = current;
        if (scope.ReadAll)
        {
            socket.UserTimeout = descriptor.TryGetUserTimeout(out var timeout) == 0 ? timeout : 0;
        }
        var verdict = Judge.Decide(socket.Memory, current, socket.Rule, policy.Existing);
        if (verdict.Want == current)
        {
            Remember(socket, verdict.Memory);
            Settle(socket, verdict.Outcome);
        }
        else if (scope.DryRun)
        {
            socket.Replaced = current;
            socket.Current = verdict.Want;
            Settle(socket, verdict.Outcome == SocketOutcome.Managed ? SocketOutcome.WouldApply : SocketOutcome.WouldRestore);
        }
        else if (IsProbing(in descriptor, current) && !(scope.Last && !verdict.Want.Enabled))
        {
            // Writing TCP_KEEPIDLE now would send another probe at once and count it. Switching keepalive off is harmless, and on the last
            // pass there is nothing to wait for.
            socket.Outcome = scope.Last ? SocketOutcome.Failed : SocketOutcome.Deferred;
            socket.Reason = FailureReasons.Probing;
            socket.Unsettled = true;
        }
        else
        {
            Write(in descriptor, socket, current, verdict);
        }
    }

    /// <summary>Notes that everything intended so far has been done.</summary>
    public void Confirm() => state?.Confirm();

    private static bool IsProbing(in DuplicatedSocket descriptor, KeepaliveOptions current) =>
        current.Enabled && descriptor.TryGetInfo(out _, out var unanswered) == 0 && unanswered > 0;

    private void Write(in DuplicatedSocket descriptor, TrackedSocket socket, KeepaliveOptions current, Verdict verdict)
    {
        var found = socket.Memory?.Found ?? current;
        try
        {
            state?.Intend(socket.Namespace, socket.Cookie, found, current, verdict.Want, socket.Rule);
        }
        catch (LinuxException) when (verdict.Memory is not { Holder: SocketHolder.Agent })
        {
            // Giving back needs no note: an interrupted one is done again from what was noted before.
        }
        catch (LinuxException)
        {
            Fail(socket, FailureReasons.StateFile);
            return;
        }
        var written = WriteOptions(in descriptor, current, verdict.Want);
        var readBack = descriptor.TryGetOptions(out var now);
        socket.Current = readBack == 0 ? now : current;
        if (socket.Current != current)
        {
            socket.Replaced = current;
        }
        if (written == 0 && readBack == 0 && now == verdict.Want)
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
        Remember(socket, SocketMemory.OfAgent(found, socket.Current.Value));
        Fail(socket, (written, readBack) switch
        {
            (not 0, _) => Errno.Name(written),
            (_, not 0) => Errno.Name(readBack),
            _ => FailureReasons.ReadBack,
        });
    }

    /// <summary>Writes only what differs, in the order that lets idle time already spent count; returns 0 or an errno.</summary>
    /// <remarks>
    /// SO_KEEPALIVE arms the timer with the full time; TCP_KEEPIDLE after it re-arms it with what is left (net/ipv4/tcp.c,
    /// __tcp_sock_set_keepidle_locked). So switching on always writes TCP_KEEPIDLE last, equal or not.
    /// </remarks>
    private static int WriteOptions(in DuplicatedSocket descriptor, KeepaliveOptions from, KeepaliveOptions to)
    {
        var errno = 0;
        if (from.Enabled && !to.Enabled)
        {
            errno = descriptor.TrySetEnabled(false);
        }
        if (errno == 0 && from.Interval != to.Interval)
        {
            errno = descriptor.TrySetInterval(to.Interval);
        }
        if (errno == 0 && from.Probes != to.Probes)
        {
            errno = descriptor.TrySetProbes(to.Probes);
        }
        var switchesOn = !from.Enabled && to.Enabled;
        if (errno == 0 && switchesOn)
        {
            errno = descriptor.TrySetEnabled(true);
        }
        if (errno == 0 && (switchesOn || from.Time != to.Time))
        {
            errno = descriptor.TrySetTime(to.Time);
        }
        return errno;
    }

    private void Remember(TrackedSocket socket, SocketMemory? memory)
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

    private static void Fail(TrackedSocket socket, string reason)
    {
        socket.Outcome = SocketOutcome.Failed;
        socket.Reason = reason;
        socket.Unsettled = true;
    }
}
