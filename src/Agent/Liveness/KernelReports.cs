using Keepalive.Linux.Netlink;

namespace Keepalive.Agent.Liveness;

/// <summary>Records how connections ended, as the kernel reports it when the application closes the socket.</summary>
/// <remarks>Used under the monitor's lock.</remarks>
/// <param name="ledger">Records the events.</param>
/// <param name="captures">Whether packets are captured.</param>
internal sealed class KernelReports(LivenessLedger ledger, bool captures)
{
    /// <summary>How long captured replies are ignored in a namespace where the kernel contradicted them, in nanoseconds.</summary>
    private const long Distrust = 600_000_000_000;

    /// <summary>The minimum number of retransmissions that shows a timeout. A socket that an application aborts is unlikely to have so
    /// many.</summary>
    private const int LeastRetransmits = 3;

    public void Take(WatchedScope scope, in DestroyedSocket socket, long now)
    {
        var (probes, retransmits) = (socket.Probes, socket.Retransmits);
        var hasLeft = !scope.Connections.TryGetValue(socket.Cookie, out var connection) && scope.Unexplained.Remove(socket.Cookie, out connection);
        if (connection is null || connection.IsReleased || connection is { State: { Phase: LivenessPhase.Dead, Cause: not DeathCause.None } })
        {
            return;
        }
        // With fewer unanswered probes, its application closed it before the kernel gave up; with retransmissions, a FIN was given up.
        // One that left the table by a reset of the kernel's was given up, whatever values its application wrote since the last audit.
        var isGivenUp = connection.Limit.IsReached(probes) || (hasLeft && connection.HasReset && probes > 0);
        if (retransmits == 0 && isGivenUp)
        {
            if (captures && connection.State.Unanswered < probes)
            {
                DistrustCapture(scope, connection, probes, now);
            }
            ledger.DieByKernel(connection, probes, DeathCause.Probes, now);
        }
        else if (hasLeft && probes == 0 && retransmits >= LeastRetransmits && !connection.IsClosing)
        {
            ledger.DieByKernel(connection, connection.State.Unanswered, DeathCause.Timeout, now);
        }
    }

    /// <summary>Ignores captured replies to the workload's connections in the namespace for some time, because the kernel did not receive them.
    /// Only the kernel's own counts are used then.</summary>
    private void DistrustCapture(WatchedScope scope, WatchedConnection connection, int probes, long now)
    {
        if (!scope.Distrusts(connection.Workload, now))
        {
            ledger.Log.Contradicts(connection, probes);
            foreach (var vote in scope.Connections.Select(other => other.Vote).OfType<WorkloadVote>().Where(vote => vote.Workload == connection.Workload).Distinct())
            {
                vote.Distrust();
            }
        }
        scope.Distrust(connection.Workload, now + Distrust);
    }
}
