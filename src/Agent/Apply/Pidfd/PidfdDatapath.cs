using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Namespaces;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>sock_diag to see sockets, pidfd_getfd to reach them (Linux 5.6). Works on any cgroup version and inside a user namespace.</summary>
/// <remarks>
/// A namespace is dumped only when something may have changed in it (<see cref="NamespaceUpkeep"/>); values are re-read in rotation, each once in
/// <see cref="NamespaceUpkeep.AuditPeriod"/>.
/// </remarks>
internal sealed class PidfdDatapath : IDatapath
{
    private readonly InheritedSockets _inherited;
    private readonly ProcessTable _processes = new();
    private readonly PassBudget _budget;
    private readonly NamespaceInventory _namespaces;
    private readonly NamespaceUpkeep _upkeep;
    private readonly SocketApplier _applier;
    private readonly OwnerSearch _owners;
    private readonly BulkSpread _bulk;
    private readonly ValueAudit _audit;
    private readonly Settlement _settlement;
    private long _passes;

    /// <param name="time">The clock of audits and spreads.</param>
    /// <param name="only">Paths of the only namespaces to look at; empty for all of the node.</param>
    /// <param name="inherited">What a predecessor knew; emptied as its sockets are met again.</param>
    /// <param name="state">Where changes are noted; null where none are made or kept.</param>
    /// <param name="exempts">Which namespaces are left alone; null is none.</param>
    public PidfdDatapath(
        TimeProvider time,
        IReadOnlyList<string> only,
        InheritedSockets inherited,
        StateFile? state,
        NamespaceExemption? exempts = null)
    {
        _budget = new PassBudget(time);
        _inherited = inherited;
        _namespaces = new NamespaceInventory(_processes, only, exempts);
        _upkeep = new NamespaceUpkeep(time, _processes, _namespaces, inherited, state, looksEverywhere: only.Count == 0);
        _applier = new SocketApplier(new SocketLedger(state, inherited));
        _owners = new OwnerSearch(_processes, _namespaces, _budget);
        _bulk = new BulkSpread(time, _owners, _applier);
        _audit = new ValueAudit(time, NamespaceUpkeep.AuditPeriod, _owners, _applier);
        _settlement = new Settlement(_owners, _applier, _bulk);
    }

    public string Name => "pidfd";

    public PassSummary Pass(PolicySnapshot policy, PassScope scope, ISocketSink sink)
    {
        var pass = new PassContext(++_passes, policy, scope, sink);
        _applier.Read = 0;
        _budget.BeginPass(scope);
        LookAround(pass);
        var visits = _upkeep.Visit(pass, PassNamespace);
        _audit.Read(pass, lost => LookForAgain(lost, pass));
        var waited = _bulk.Apply(pass);
        _upkeep.EndPass(scope, visits);
        return new PassSummary
        {
            Namespaces = _namespaces.Watched.Count,
            NamespacesDumped = visits.Dumped,
            Sockets = visits.Sockets,
            Read = _applier.Read,
            Processes = _processes.Count,
            InaccessibleProcesses = _processes.Inaccessible,
            NamespaceFailures = visits.Failures,
            NamespaceFailure = _namespaces.Failure,
            NamespacesLeftOut = _namespaces.LeftOut,
            NotReached = visits.NotReached,
            Trouble = _upkeep.Excess ?? _budget.Excess,
            Waited = waited,
        };
    }

    public void Dispose()
    {
        _owners.Dispose();
        _namespaces.Dispose();
    }

    /// <summary>Finds out which processes and namespaces there are.</summary>
    private void LookAround(PassContext pass)
    {
        _processes.Scan();
        _upkeep.BeginPass(pass);
    }

    private int PassNamespace(WatchedNamespace watched, TcpActivity activity, PassContext pass)
    {
        watched.Dumps++;
        pass.Sink.BeginNamespace(watched.Inode);
        var visitor = new DumpVisitor(watched, pass, _inherited, _audit);
        // The idle clock decides the order of a bulk, which only a new namespace or policy brings; it makes a dump half as dear again.
        watched.Handle.Diag.Dump(pass.Scope.States, details: visitor.Compares || pass.Scope.WantsTimers(watched.Inode), ref visitor);
        _upkeep.Dumped(watched, pass.Policy, activity);
        _settlement.Settle(watched, pass);
        foreach (var socket in watched.Sockets.Values)
        {
            pass.Report(socket);
        }
        pass.Sink.EndNamespace(watched.Inode);
        return visitor.Count;
    }

    /// <summary>A socket the audit did not find was closed, or is known by another descriptor now: the next dump tells.</summary>
    private void LookForAgain(TrackedSocket socket, PassContext pass)
    {
        socket.Unsettled = true;
        socket.NextTry = pass.Number + 1;
        if (_namespaces.Find(socket.Namespace) is { } watched)
        {
            watched.NextTry = pass.Number + 1;
        }
    }
}
