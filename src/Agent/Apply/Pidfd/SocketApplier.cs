using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Sockets;
using Keepalive.Config;
using Keepalive.Linux;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>Reads one socket, lets <see cref="SocketLedger"/> decide, writes the values that differ and reads them back.</summary>
/// <remarks>
/// The state file gets a note before a socket is written, and a note costs as much as three writes of an option. Of many sockets, the notes of
/// some are written together: these are read one after the other, then noted, then written. They are few, because an application that sets
/// an option between the reading and the writing is not seen, and because its close(2) sends no FIN meanwhile.
/// </remarks>
/// <param name="ledger">Decides, and records the results.</param>
internal sealed class SocketApplier(SocketLedger ledger)
{
    /// <summary>The number of sockets that are noted together. Their descriptors are held for some 50 microseconds.</summary>
    private const int NotedTogether = 16;

    private readonly Queue<Planned> _planned = new();

    /// <summary>Sockets whose values were read since the pass began.</summary>
    public int Read { get; private set; }

    public void BeginPass()
    {
        Read = 0;
        if (_planned.Count > 0)
        {
            _ = ledger.TryWritePlans();
        }
        while (_planned.TryDequeue(out var planned))
        {
            // A search has failed in between. The next one finds this socket again.
            ledger.Withdraw(planned.Socket);
            planned.Held.Descriptor.Dispose();
        }
    }

    /// <summary>Whether a socket has the values that were last read from it.</summary>
    public bool IsUnchanged(in DuplicatedSocket descriptor, TrackedSocket socket)
    {
        ref readonly var standing = ref socket.Standing;
        if (standing is { IsNew: true } or { Current: null } || descriptor.TryGetOptions(out var current) != 0 || current != standing.Current
            || (standing.UserTimeout is { } timeout && TimeoutOf(in descriptor) != timeout))
        {
            return false;
        }
        Read++;
        return true;
    }

    /// <summary>Applies its rule to <paramref name="socket"/> and stores the result in it.</summary>
    /// <param name="descriptor">Its descriptor.</param>
    /// <param name="socket">The socket.</param>
    /// <param name="pass">The policy in force, and the changes that are allowed.</param>
    /// <param name="areMany">Whether it is one of many. It may then be written later, at the latest by <see cref="EndProcess"/>.</param>
    /// <returns>Whether it is written later: the descriptor must not be closed.</returns>
    public bool Apply(in DuplicatedSocket descriptor, TrackedSocket socket, PassContext pass, bool areMany)
    {
        var errno = descriptor.TryGetOptions(out var current);
        if (errno != 0)
        {
            ledger.Fail(socket, errno == Errno.ENOPROTOOPT ? FailureReasons.Multipath : Errno.Name(errno));
            return false;
        }
        Read++;
        if (pass.Scope.ReadAll || socket.Standing.Rule is not null || socket.Standing.Memory is { UserTimeout: not null })
        {
            socket.Standing.Read(OwnValues.None, TimeoutOf(in descriptor));
        }
        if (ledger.Decide(socket, current, pass) is not { } verdict || !ledger.MayWrite(socket, verdict, IsProbing(in descriptor, current), pass.Scope))
        {
            return false;
        }
        if (areMany)
        {
            ledger.Plan(socket, current, verdict);
            _planned.Enqueue(new Planned(descriptor.Hold(), socket, current, verdict));
            if (_planned.Count >= NotedTogether)
            {
                WritePlanned();
            }
            return true;
        }
        if (ledger.TryIntend(socket, current, verdict))
        {
            Write(in descriptor, socket, current, verdict);
        }
        return false;
    }

    /// <summary>Writes the sockets that wait for it, and notes that everything intended so far has been done.</summary>
    public void EndProcess()
    {
        WritePlanned();
        ledger.Confirm();
        ledger.EndBulk();
    }

    private void WritePlanned()
    {
        if (_planned.Count == 0)
        {
            return;
        }
        var areNoted = ledger.TryWritePlans();
        ledger.BeginBulk();
        while (_planned.TryDequeue(out var planned))
        {
            var (held, socket, current, verdict) = planned;
            using var descriptor = held.Descriptor;
            if (areNoted || ledger.TryIntend(socket, current, verdict))
            {
                Write(in descriptor, socket, current, verdict);
            }
        }
    }

    private void Write(in DuplicatedSocket descriptor, TrackedSocket socket, KeepaliveOptions current, Verdict verdict)
    {
        var timeout = verdict.UserTimeout == socket.Standing.UserTimeout ? null : verdict.UserTimeout;
        var written = WriteOptions(in descriptor, current, verdict.Want, timeout);
        var readBack = descriptor.TryGetOptions(out var now);
        var failed = written != 0 ? written : readBack;
        ledger.Conclude(
            socket, current, verdict, readBack == 0 ? now : null, timeout is null ? null : TimeoutOf(in descriptor), failed != 0 ? Errno.Name(failed) : null);
    }

    private static int? TimeoutOf(in DuplicatedSocket descriptor) => descriptor.TryGetUserTimeout(out var timeout) == 0 ? timeout : null;

    private static bool IsProbing(in DuplicatedSocket descriptor, KeepaliveOptions current) =>
        current.Enabled && descriptor.TryGetInfo(out var info) == 0 && info.Unanswered > 0;

    /// <summary>Writes only values that differ, in an order in which the idle time so far counts. Returns 0 or an errno.</summary>
    /// <remarks>
    /// SO_KEEPALIVE starts the timer with the full time. TCP_KEEPIDLE after it restarts the timer with the remaining time (net/ipv4/tcp.c,
    /// __tcp_sock_set_keepidle_locked). So when keepalive is switched on, TCP_KEEPIDLE is always written last, even if it is equal. The
    /// exception is a sysctl's value that TCP_KEEPIDLE does not allow. A user timeout is in force before the first probe that it must not cut
    /// short, and one that is restored only when no probe is sent any more.
    /// </remarks>
    private static int WriteOptions(in DuplicatedSocket descriptor, KeepaliveOptions from, KeepaliveOptions to, int? userTimeout)
    {
        var errno = 0;
        if (from.Enabled && !to.Enabled)
        {
            errno = descriptor.TrySetEnabled(false);
        }
        if (errno == 0 && userTimeout is { } milliseconds)
        {
            errno = descriptor.TrySetUserTimeout(milliseconds);
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
        if (errno == 0 && (from.Time != to.Time || (switchesOn && to.Time is >= 1 and <= KeepaliveSettings.MaxTime)))
        {
            errno = descriptor.TrySetTime(to.Time);
        }
        return errno;
    }

    /// <summary>A socket that was read and is written once its note is in the state file.</summary>
    private readonly record struct Planned(HeldSocket Held, TrackedSocket Socket, KeepaliveOptions Current, Verdict Verdict);
}
