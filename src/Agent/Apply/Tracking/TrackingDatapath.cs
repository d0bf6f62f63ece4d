using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Namespaces;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>A pass over the node's sockets, whatever reaches them. A datapath adds how it lists processes, and how it enumerates, reads and writes
/// sockets.</summary>
/// <remarks>
/// <code>
///   processes ──► namespaces ──► Enumerate ──► DumpIntake: track, compare ──► Settle: decide, write ──► SocketRecord
///                     │ gated by their connection counters                       └──► BulkSpread ──► Write ──┘
/// </code>
/// A namespace is enumerated only when something may have changed in it (<see cref="NamespaceUpkeep"/>).
/// </remarks>
/// <typeparam name="TChange">A change that may have to wait.</typeparam>
internal abstract class TrackingDatapath<TChange> : IDatapath
    where TChange : struct, ISocketChange
{
    private readonly InheritedSockets _inherited;
    private readonly Action<TrackedSocket> _tracked;
    private long _passes;

    /// <param name="options">What to look at.</param>
    /// <param name="slicesByNamespace">Whether changes that are spread are made in one namespace at a time.</param>
    protected TrackingDatapath(TrackingOptions options, bool slicesByNamespace)
    {
        _inherited = options.Inherited;
        _tracked = Track;
        Namespaces = new NamespaceInventory(Processes, options.Only, options.MostNamespaces, options.Exempts);
        Upkeep = new NamespaceUpkeep(options, Processes, Namespaces);
        Ledger = new SocketLedger(options.State, options.Inherited, Counts);
        Bulk = new BulkSpread<TChange>(options.Time, slicesByNamespace, Write);
    }

    public abstract string Name { get; }

    public ApplyCounts Counts { get; } = new();

    protected ProcessTable Processes { get; } = new();

    protected NamespaceInventory Namespaces { get; }

    protected NamespaceUpkeep Upkeep { get; }

    protected SocketLedger Ledger { get; }

    protected BulkSpread<TChange> Bulk { get; }

    public PassSummary Pass(PolicySnapshot policy, PassScope scope, ISocketSink sink)
    {
        var pass = new PassContext(++_passes, policy, scope, sink);
        ListProcesses();
        Upkeep.BeginPass(pass, Release);
        Begin(pass);
        var visits = Upkeep.Visit(pass, LookInto);
        Audit(pass);
        var waited = Bulk.Apply(pass);
        End(pass, visits);
        Upkeep.EndPass(scope, visits);
        return Complete(new PassSummary
        {
            Namespaces = Namespaces.Watched.Count,
            NamespacesDumped = visits.Dumped,
            Sockets = visits.Sockets,
            Read = visits.Sockets,
            Processes = Processes.Count,
            InaccessibleProcesses = Processes.Inaccessible,
            NamespaceFailures = visits.Failures,
            NamespaceFailure = Namespaces.Failure,
            NamespacesLeftOut = Namespaces.LeftOut,
            NotReached = visits.NotReached,
            Trouble = Upkeep.Excess,
            Waited = waited,
        });
    }

    public virtual void Dispose() => Namespaces.Dispose();

    /// <summary>Finds out which processes there are.</summary>
    protected abstract void ListProcesses();

    /// <summary>A namespace is about to be released: from then on its inode number may be another's.</summary>
    protected virtual void Release(ulong inode)
    {
    }

    /// <summary>The namespaces are known; none has been looked into.</summary>
    protected virtual void Begin(PassContext pass)
    {
    }

    /// <summary>Has the intake take in each socket of its namespace.</summary>
    /// <exception cref="Linux.LinuxException">The kernel did not show all of them.</exception>
    protected abstract void Enumerate(DumpIntake intake);

    /// <summary>A socket is tracked from now on.</summary>
    protected virtual void Track(TrackedSocket socket)
    {
    }

    /// <summary>Brings the policy to bear on the sockets of a namespace that wait for it; false where there was no time for all of them.</summary>
    /// <exception cref="Linux.LinuxException">The kernel did not take it.</exception>
    protected abstract bool Settle(WatchedNamespace watched, PassContext pass);

    /// <summary>The namespaces have been looked into: the time to look for what nothing else tells of.</summary>
    protected virtual void Audit(PassContext pass)
    {
    }

    /// <summary>Makes changes that had to wait.</summary>
    /// <exception cref="Linux.LinuxException">The kernel did not take them.</exception>
    protected abstract void Write(TChange[] changes, PassContext pass);

    /// <summary>All changes have been made.</summary>
    protected virtual void End(PassContext pass, in Visits visits)
    {
    }

    /// <summary>Adds to the summary of a pass what only this datapath knows.</summary>
    protected abstract PassSummary Complete(PassSummary summary);

    private Look LookInto(WatchedNamespace watched, TcpActivity activity, PassContext pass)
    {
        watched.Dumps++;
        pass.Sink.BeginNamespace(watched.Inode);
        var intake = new DumpIntake(watched, pass, _inherited, _tracked);
        Enumerate(intake);
        Upkeep.Dumped(watched, pass.Policy, activity);
        var isDone = Settle(watched, pass);
        watched.NextTry = long.MaxValue;
        foreach (var socket in watched.Sockets.Values)
        {
            ref var standing = ref socket.Standing;
            if (standing.IsUnsettled)
            {
                standing.PutOff(pass.Number);
                watched.NextTry = Math.Min(watched.NextTry, standing.NextTry);
            }
            pass.Report(socket);
        }
        pass.Sink.EndNamespace(watched.Inode);
        return new Look(intake.Count, IsCutShort: !isDone);
    }
}
