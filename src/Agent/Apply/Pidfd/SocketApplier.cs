using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Sockets;
using Keepalive.Config;
using Keepalive.Linux;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>Reads one socket, lets <see cref="SocketLedger"/> decide, writes the values that differ and reads them back.</summary>
/// <param name="ledger">Decides, and records the results.</param>
internal sealed class SocketApplier(SocketLedger ledger)
{
    /// <summary>Sockets whose values were read since the last reset.</summary>
    public int Read { get; set; }

    /// <summary>Applies its rule to <paramref name="socket"/> and stores the result in it.</summary>
    public void Apply(in DuplicatedSocket descriptor, TrackedSocket socket, PassContext pass)
    {
        var errno = descriptor.TryGetOptions(out var current);
        if (errno != 0)
        {
            ledger.Fail(socket, errno == Errno.ENOPROTOOPT ? FailureReasons.Multipath : Errno.Name(errno));
            return;
        }
        Read++;
        if (pass.Scope.ReadAll || socket.Standing.Rule is not null || socket.Standing.Memory is { UserTimeout: not null })
        {
            socket.Standing.Read(OwnValues.None, TimeoutOf(in descriptor));
        }
        if (ledger.Decide(socket, current, pass) is { } verdict
            && ledger.MayWrite(socket, verdict, IsProbing(in descriptor, current), pass.Scope)
            && ledger.TryIntend(socket, current, verdict))
        {
            var timeout = verdict.UserTimeout == socket.Standing.UserTimeout ? null : verdict.UserTimeout;
            var written = WriteOptions(in descriptor, current, verdict.Want, timeout);
            var readBack = descriptor.TryGetOptions(out var now);
            var failed = written != 0 ? written : readBack;
            ledger.Conclude(
                socket, current, verdict, readBack == 0 ? now : null, timeout is null ? null : TimeoutOf(in descriptor), failed != 0 ? Errno.Name(failed) : null);
        }
    }

    /// <summary>Notes that everything intended so far has been done.</summary>
    public void Confirm() => ledger.Confirm();

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
}
