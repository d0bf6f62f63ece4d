using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Agent.Workloads;
using Keepalive.Linux;
using Keepalive.Linux.Namespaces;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>The parts of a pass that both datapaths share. Each datapath adds its own way to list processes, and to enumerate, read and
/// write sockets.</summary>
/// <remarks>
/// <code>
///   processes ──► namespaces ──► Enumerate ──► DumpIntake: track, compare ──► Settle: decide, write ──► SocketRecord
///                     │ gated by their connection counters                       └──► BulkSpread ──► Write ──┘
/// </code>
/// A namespace is enumerated only when something may have changed in it that was not reported (<see cref="NamespaceUpkeep"/>).
/// </remarks>
/// <typeparam name="TChange">A change that may be deferred.</typeparam>
internal abstract class TrackingDatapath<TChange> : IDatapath
    where TChange : struct, ISocketChange
{
    private readonly InheritedSockets _inherited;
    private readonly TimeProvider _time;
    private readonly Action<TrackedSocket> _tracked;
    private readonly List<TrackedSocket> _news = [];
    private long _passes;

    /// <param name="options">The namespaces to examine, and the state of sockets.</param>
    /// <param name="slicesByNamespace">Whether each slice of spread changes belongs to one namespace.</param>
    /// <param name="chargesOwners">Whether owners are charged for the cost of their namespaces.</param>
    protected TrackingDatapath(TrackingOptions options, bool slicesByNamespace, bool chargesOwners)
    {
        _inherited = options.Inherited;
        _time = options.Time;
        _tracked = Track;
        Namespaces = new NamespaceInventory(Processes, options.Only, options.MaxNamespaces, options.Exempts, options.NodesNamespace, options.HostExempts, chargesOwners);
        Upkeep = new NamespaceUpkeep(options, Processes, Namespaces);
        Workloads = new SocketWorkloads(Processes, CgroupOwners.OfNode(options.Time));
        Ledger = new SocketLedger(options.State, options.Inherited, Counts, Workloads);
        Bulk = new BulkSpread<TChange>(options.Time, slicesByNamespace, Write);
    }

    public abstract string Name { get; }

    public ApplyCounts Counts { get; } = new();

    protected ProcessTable Processes { get; } = new();

    protected NamespaceInventory Namespaces { get; }

    protected NamespaceUpkeep Upkeep { get; }

    protected SocketWorkloads Workloads { get; }

    protected SocketLedger Ledger { get; }

    protected BulkSpread<TChange> Bulk { get; }

    public PassSummary Pass(PolicySnapshot policy, PassScope scope, ISocketSink sink)
    {
        var pass = new PassContext(++_passes, policy, scope, sink);
        ListProcesses();
        Workloads.BeginPass();
        Upkeep.BeginPass(pass, Release);
        Begin(pass);
        var visits = Upkeep.Visit(pass, LookInto, HasUnreported, Follow);
        var asking = new Asking(_time, Ledger, Asker);
        var asked = 0;
        asking.Begin(pass, Namespaces);
        try
        {
            Audit(pass);
        }
        finally
        {
            asked = asking.End(pass);
        }
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
            IsCutShort = visits.Waiting > 0 || visits.CutShort > 0,
            Trouble = Upkeep.Excess,
            Waited = waited,
            Asked = asked,
            NotAsked = asking.Left,
        });
    }

    public virtual void Dispose() => Namespaces.Dispose();

    /// <summary>Writes to the sockets that must send a probe.</summary>
    protected abstract IAsker Asker { get; }

    /// <summary>Updates the list of processes.</summary>
    protected abstract void ListProcesses();

    /// <summary>Called before a namespace is released: afterwards its inode number may belong to another one.</summary>
    protected virtual void Release(ulong inode)
    {
    }

    /// <summary>Called when the namespaces are known, before the first one is examined.</summary>
    protected virtual void Begin(PassContext pass)
    {
    }

    /// <summary>Passes each socket of the intake's namespace to the intake.</summary>
    /// <exception cref="Linux.LinuxException">The kernel did not show all sockets.</exception>
    protected abstract void Enumerate(DumpIntake intake);

    /// <summary>Whether something has changed in a namespace that was not reported; null if that is unknown, and the counters decide.</summary>
    protected virtual bool? HasUnreported(WatchedNamespace watched, PassContext pass) => null;

    /// <summary>Whether changes in a namespace were reported, and all of them.</summary>
    protected virtual bool HasReports(WatchedNamespace watched) => false;

    /// <summary>Passes the reported changes in the intake's namespace to the intake.</summary>
    protected virtual void EnumerateReports(DumpIntake intake)
    {
    }

    /// <summary>Called for each socket that is tracked from now on.</summary>
    protected virtual void Track(TrackedSocket socket)
    {
    }

    /// <summary>Applies the policy to the sockets of a namespace that wait for it. Returns false if there was no time for all of
    /// them.</summary>
    /// <exception cref="Linux.LinuxException">The kernel did not carry out the changes.</exception>
    protected abstract bool Settle(WatchedNamespace watched, PassContext pass);

    /// <summary>Called after the namespaces were examined, to find changes that nothing else shows.</summary>
    protected virtual void Audit(PassContext pass)
    {
    }

    /// <summary>Makes changes that were deferred.</summary>
    /// <exception cref="Linux.LinuxException">The kernel did not carry out the changes.</exception>
    protected abstract void Write(TChange[] changes, PassContext pass);

    /// <summary>Called after all changes were made.</summary>
    protected virtual void End(PassContext pass, in Visits visits)
    {
    }

    /// <summary>Adds the figures that only this datapath knows to the summary of a pass.</summary>
    protected abstract PassSummary Complete(PassSummary summary);

    private Look LookInto(WatchedNamespace watched, TcpActivity activity, PassContext pass)
    {
        watched.Dumps++;
        _news.Clear();
        var begun = _time.GetTimestamp();
        var intake = new DumpIntake(watched, pass, _inherited, Workloads, _tracked) { News = _news, Time = _time };
        if (intake.IsComplete)
        {
            pass.Sink.BeginNamespace(watched.Inode);
        }
        else
        {
            pass.Sink.BeginChanges(watched.Inode);
        }
        watched.ReportedTo = null;
        watched.LocalEnds.Begin();
        Enumerate(intake);
        Upkeep.Dumped(watched, pass.Policy, activity);
        watched.LocalEnds.End(end => IsListening(watched, end));
        intake.End(socket => Upkeep.Drop(watched, socket, pass));
        var isDone = Settle(watched, pass);
        watched.NextTry = watched.LocalEnds.IsIncomplete ? pass.Number + 1 : long.MaxValue;
        foreach (var socket in watched.Examined)
        {
            if (!socket.IsGone)
            {
                Conclude(watched, socket, pass);
            }
        }
        watched.Examined = [];
        intake.ReportGone();
        pass.Sink.EndNamespace(watched.Inode);
        (watched.ReportedTo, watched.DumpedAt) = (pass.Sink, begun);
        Spare.Clear(_news);
        return new Look(intake.Count, IsCutShort: !isDone);
    }

    /// <summary>Takes in what was reported of a namespace, in place of a dump. The records are outside of a frame.</summary>
    private void Follow(WatchedNamespace watched, PassContext pass)
    {
        if (!HasReports(watched))
        {
            return;
        }
        _news.Clear();
        var intake = new DumpIntake(watched, pass, _inherited, Workloads, _tracked, isOfReports: true) { News = _news, Time = _time };
        EnumerateReports(intake);
        intake.EndReports(socket => Upkeep.DropGone(watched, socket));
        _ = Settle(watched, pass);
        foreach (var socket in watched.Examined)
        {
            if (!socket.IsGone)
            {
                Conclude(watched, socket, pass);
            }
        }
        watched.Examined = [];
        intake.ReportGone();
        Spare.Clear(_news);
    }

    private void Conclude(WatchedNamespace watched, TrackedSocket socket, PassContext pass)
    {
        ref var standing = ref socket.Standing;
        if (standing.IsUnsettled)
        {
            standing.PutOff(pass.Number);
            watched.NextTry = Math.Min(watched.NextTry, standing.NextTry);
        }
        if (socket.Reach.Pid != 0)
        {
            Workloads.Settle(watched, socket);
        }
        pass.Report(socket);
    }

    private static bool IsListening(WatchedNamespace watched, SocketEndpoint end)
    {
        try
        {
            return watched.Handle.Diag.IsListening(in end);
        }
        catch (LinuxException)
        {
            return false;   // not proved
        }
    }
}
