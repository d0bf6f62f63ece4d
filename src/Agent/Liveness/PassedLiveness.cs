using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Sockets;
using Keepalive.Agent.Workloads;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Liveness;

/// <summary>Records what passes report: which connections exist, the kernel's count of unanswered probes, and which connections are gone.</summary>
/// <remarks>Used under the monitor's lock.</remarks>
/// <param name="ledger">Records the events.</param>
/// <param name="captured">Finds connections in captured packets.</param>
/// <param name="clock">The clock.</param>
/// <param name="waits">The times until the next probes.</param>
/// <param name="captures">Whether packets are captured.</param>
/// <param name="pods">Finds the pod of a connection; null without a cluster.</param>
/// <param name="backends">Looks up the backends behind virtual addresses; null if they are not looked up.</param>
internal sealed class PassedLiveness(
    LivenessLedger ledger, CapturedLiveness captured, SteadyClock clock, ProbeWaits waits, bool captures, PodDirectory? pods, BackendLookup? backends)
{
    private const long Millisecond = 1_000_000;

    /// <summary>How long a connection must be quiet before its count is compared with the kernel's. Until then, some of its packets may
    /// still be unread.</summary>
    private const long Settled = 500 * Millisecond;

    /// <summary>More than the rounding of the kernel's times. The kernel never sends a probe so soon after it heard something.</summary>
    private const long Jiffies = 50 * Millisecond;

    private ConnectionOwner _lastOwner = ConnectionOwner.Unknown;

    /// <summary>Returns the owner of a connection, by the name of its workload in a record.</summary>
    private ConnectionOwner Owner(string workload, WatchedScope scope)
    {
        scope.Workload = workload;
        var (name, podNamespace) = pods?.Find(workload) is { } pod ? ($"{WorkloadName.Pod}{pod.Namespace}/{pod.Pod}", pod.Namespace) : (workload, scope.PodNamespace);
        var owner = _lastOwner;
        return owner.AccountedTo == workload && owner.Workload == name && owner.PodNamespace == podNamespace
            ? owner
            : _lastOwner = new ConnectionOwner(workload, name, podNamespace);
    }

    public WatchedConnection Add(WatchedScope scope, in SocketRecord record)
    {
        var connection = new WatchedConnection(in record, scope, Enter(record.Rule!, record.Remote, backend: null))
        {
            State = ConnectionLiveness.Probing(record.Unanswered),
            ProbedAt = clock.Now,
            HeardAt = clock.Now,
        };
        scope.Enter(connection);
        connection.Owner = Owner(record.Workload, scope);
        connection.IsLocal = record.IsLocal || scope.LocalAddresses.Contains(record.Remote.Address);
        EnterVote(connection);
        if (connection.Endpoint is not null && (pods is not null || record.Rule!.IsOfService))
        {
            backends?.Add(connection);
        }
        captured.Enter(connection);
        ledger.Know(connection);
        if (record.Unanswered > 0)
        {
            connection.SilentSince = clock.Now - (record.Unanswered * ((record.Current?.Interval ?? 0) * 1000 * Millisecond));
            ledger.EnterProbing(connection);
        }
        return connection;
    }

    public void Update(WatchedScope scope, WatchedConnection connection, in SocketRecord record)
    {
        var now = clock.Now;
        if (!ReferenceEquals(connection.Rule, record.Rule))
        {
            Reassign(connection, record);
        }
        scope.HeldBy(connection, record.Pid);
        (connection.Outcome, connection.Reason, connection.TcpState) = (record.Outcome, record.Reason, record.State);
        connection.Values = record.Actual ?? connection.Values;
        connection.Timer = record.Timer;
        connection.IsClosing |= record.State is not TcpState.Established;
        (connection.UserTimeout, connection.HasShortUserTimeout) = (record.ActualUserTimeout, record.HasShortActualUserTimeout);
        connection.KernelUnanswered = record.Unanswered;
        if (record.Workload != connection.Owner.AccountedTo || (record.IsLocal && !connection.IsLocal))
        {
            connection.Owner = Owner(record.Workload, scope);
            connection.IsLocal |= record.IsLocal;
            EnterVote(connection);
        }
        if (record.RoundTrip is { } smoothed && (connection.AnsweredAt == 0 || connection.RoundTrip == 0))
        {
            connection.RoundTrip = (int)Math.Min(smoothed, int.MaxValue);
        }
        if (record is { Changed: true, Replaced: { } from, Current: { } to })
        {
            connection.SetAt = now;
            ledger.Recent.Add(new EventKey(EventKind.Set, connection.Workload, record.Rule!.Policy, record.Rule.Destination) { From = from, To = to }, now);
        }
        if (record.Asked)
        {
            connection.AskedAt = now;
            connection.Vote?.Asked(now);
        }
        connection.Limit = DeathLimit.Of(record.Current, record.UserTimeout);
        connection.Interval = (record.Current?.Interval ?? 0) * 1000 * Millisecond;
        connection.Time = record.Current is { Enabled: true } current ? current.Time * 1000 * Millisecond : 0;
        if (record.Idle is { } quiet)
        {
            connection.HeardAt = now - (quiet * Millisecond);
        }
        Compare(connection, record.Unanswered, now);
        connection.LookAt = record.Unanswered > 0 && !waits.IsSeen(connection, now) ? now : Math.Max(connection.HeardAt, now - connection.Time) + waits.Late(connection.Time);
        scope.DoubtAt = Math.Min(scope.DoubtAt, waits.DoubtAt(connection));
        if (record is { Idle: { } idle, State: TcpState.Established })
        {
            ledger.Heard(connection, now - (idle * Millisecond));
        }
    }

    private void Reassign(WatchedConnection connection, in SocketRecord record)
    {
        var endpoint = Enter(record.Rule!, record.Remote, connection.Backend);
        Leave(connection);
        connection.Endpoint = endpoint;
        connection.Rule = record.Rule!;
        ledger.Know(connection);
        EnterVote(connection);
    }

    /// <summary>Counts a connection for the vote of its workload. A connection within one namespace counts for no vote.</summary>
    public void EnterVote(WatchedConnection connection)
    {
        ledger.Pool.Leave(connection, clock.Now);
        if (connection is { IsLocal: false, Endpoint: not null })
        {
            ledger.Pool.Enter(connection, connection.Workload);
        }
    }

    /// <summary>Counts a connection at its remote endpoint, and returns the endpoint. Returns null for an accepted connection, which its
    /// rule selects by its local end, and for the fallback: its connections may have been accepted, and a client that disappears is no endpoint
    /// that is out.</summary>
    private PooledEndpoint? Enter(CompiledRule rule, SocketEndpoint remote, SocketEndpoint? backend) =>
        !rule.IsFallback && rule.Covers(remote.Address, remote.Port) ? ledger.Pool.Enter(rule, backend ?? remote, backend is null ? null : remote) : null;

    private void Leave(WatchedConnection connection)
    {
        ledger.Pool.Leave(connection, clock.Now);
        if (connection.Endpoint is { } endpoint)
        {
            ledger.Pool.Leave(endpoint, clock.Now);
        }
    }

    /// <summary>Compares the kernel's count of unanswered probes with the captured one. If no packet was on its way, the kernel's count is
    /// right.</summary>
    private void Compare(WatchedConnection connection, int kernel, long now)
    {
        if (connection.IsUncertain && connection.State.Unanswered > 0 && connection.HeardAt >= connection.ProbedAt - Jiffies)
        {
            // The answer to the last captured probe was dropped. The kernel's count is about a later probe, which may not have been read
            // yet.
            connection.State = connection.State.After(LivenessEvent.Heard, connection.Limit);
            connection.Settle();
        }
        var ours = connection.State.Unanswered;
        var hidden = connection.Timer is TcpTimer.Retransmit or TcpTimer.ZeroWindowProbe;
        if (hidden || connection.State.Phase == LivenessPhase.Dead || (kernel != ours && captures && now - connection.SeenAt < Settled))
        {
            return;
        }
        if (kernel >= ours)
        {
            ledger.Confirm(connection);
        }
        var isKnown = connection.IsUncertain;
        connection.Settle();
        if (kernel == ours)
        {
            return;
        }
        if (captures && !isKnown)
        {
            ledger.Log.Differs(connection, kernel);
        }
        if (kernel < ours)
        {
            connection.State = kernel == 0 ? connection.State.After(LivenessEvent.Heard, connection.Limit) : ConnectionLiveness.Probing(kernel);
        }
        for (; ours < kernel; ours++)
        {
            ledger.Probe(connection, now);
        }
    }

    /// <summary>Compares the captured count of a connection with the kernel's, which is 0.</summary>
    public void CompareWithNone(WatchedConnection connection) => Compare(connection, 0, clock.Now);

    public void Vanish(WatchedScope scope, WatchedConnection connection)
    {
        var now = clock.Now;
        if (connection.ResetAt != 0)
        {
            ledger.ApplyReset(connection, now);
        }
        // A connection that died before has no more probes to count.
        if (!connection.IsReleased && connection.State.Phase != LivenessPhase.Dead)
        {
            InferProbes(connection, now);
            ledger.Apply(
                connection, connection.Timer == TcpTimer.Retransmit && !connection.IsClosing ? LivenessEvent.VanishedRetransmitting : LivenessEvent.Vanished, now);
            if (connection.State.Phase != LivenessPhase.Dead && (!connection.IsClosing || connection.HasReset || connection.State.Phase == LivenessPhase.Probing))
            {
                scope.LeaveUnexplained(connection);
            }
        }
        Remove(scope, connection);
    }

    /// <summary>Counts the probes that a connection must have sent since it was last looked at.</summary>
    private void InferProbes(WatchedConnection connection, long now)
    {
        if ((!captures || !waits.IsSeen(connection, now)) && connection.State.Phase == LivenessPhase.Probing)
        {
            // After a probe that a pass asked for, the next one comes at the connection's own time.
            var isAsked = connection.State.Unanswered == 1 && connection.AskedAt != 0 && Math.Abs(connection.ProbedAt - connection.AskedAt) < 1000 * Millisecond;
            var since = isAsked ? connection.HeardAt + connection.Time - connection.Interval : connection.ProbedAt;
            var lost = connection.Interval > 0 ? (now - since) / connection.Interval : 0;
            // Passes may be further apart than probes. The probes that were due since the last pass were sent too.
            for (; lost > 0 && !connection.Limit.IsReached(connection.State.Unanswered); lost--)
            {
                ledger.Probe(connection, now);
            }
        }
        else if (captures && ProbeWaits.IsOutlasted(connection, now))
        {
            while (!connection.Limit.IsReached(connection.State.Unanswered))
            {
                ledger.Probe(connection, now);
            }
        }
    }

    public void Remove(WatchedScope scope, WatchedConnection connection)
    {
        connection.LeftAt = clock.Now;
        if (scope.Leave(connection) && connection.Frame == scope.Listing)
        {
            scope.Listed--;
        }
        captured.Leave(connection, clock.Now);
        connection.State = new ConnectionLiveness(LivenessPhase.Dead, connection.State.Unanswered, connection.State.Cause);
        Leave(connection);
    }

    /// <summary>Records the backend behind the virtual address that a connection goes to.</summary>
    public void SetBackend(WatchedConnection connection, SocketEndpoint backend)
    {
        if (backend == connection.Remote || connection.Endpoint is not { IsRemoved: false })
        {
            return;
        }
        connection.Backend = backend;
        var endpoint = Enter(connection.Rule, connection.Remote, backend);
        Leave(connection);
        connection.Endpoint = endpoint;
        connection.IsLocal |= connection.Scope.LocalAddresses.Contains(backend.Address);
        EnterVote(connection);
    }
}
