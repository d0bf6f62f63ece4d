using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Linux;
using Keepalive.Linux.Namespaces;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>sock_diag to see sockets, pidfd_getfd to reach them (Linux 5.6). Works on any cgroup version and inside a user namespace.</summary>
/// <remarks>
/// A namespace is dumped only when its connection counters moved, the policy changed, a socket waits for another try, or for want of all that
/// once in <see cref="DumpPeriod"/>; values are re-read in rotation, each once in <see cref="AuditPeriod"/>.
/// </remarks>
internal sealed class PidfdDatapath : IDatapath
{
    /// <summary>Every tracked socket's values are read at least this often.</summary>
    public static readonly TimeSpan AuditPeriod = TimeSpan.FromSeconds(50);

    /// <summary>Every namespace is dumped at least this often. A dump walks the whole node's table; that something came or went is told by
    /// the counters, and that a socket is gone also by the reading of its values.</summary>
    public static readonly TimeSpan DumpPeriod = TimeSpan.FromMinutes(10);

    private readonly TimeProvider _time;
    private readonly bool _looksEverywhere;
    private readonly StateFile? _state;
    private readonly InheritedSockets _inherited;
    private readonly ProcessTable _processes = new();
    private readonly MountSurvey _mounts = new();
    private readonly NamespaceInventory _namespaces;
    private readonly SocketApplier _applier;
    private readonly BulkSpread _bulk;
    private readonly ValueAudit _audit;
    private readonly Settlement _settlement;
    private long _passes;
    private long _mountsReadAt;

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
        _time = time;
        _looksEverywhere = only.Count == 0;
        _state = state;
        _inherited = inherited;
        _namespaces = new NamespaceInventory(_processes, only, exempts);
        _applier = new SocketApplier(new SocketLedger(state, inherited));
        var owners = new OwnerSearch(_processes, _mounts);
        _bulk = new BulkSpread(time, owners, _applier);
        _audit = new ValueAudit(time, AuditPeriod, owners, _applier);
        _settlement = new Settlement(owners, _applier, _bulk);
        _mountsReadAt = time.GetTimestamp();
    }

    public string Name => "pidfd";

    public PassSummary Pass(PolicySnapshot policy, PassScope scope, ISocketSink sink)
    {
        var pass = new PassContext(++_passes, policy, scope, sink);
        _applier.Read = 0;
        LookAround(sink);
        int dumped = 0, sockets = 0, failures = _namespaces.Failures.Count;
        foreach (var watched in _namespaces.Watched)
        {
            if (scope.Stop.IsCancellationRequested)
            {
                break;
            }
            var here = pass.In(watched);
            if (MustDump(watched, here, out var activity))
            {
                try
                {
                    sockets += PassNamespace(watched, activity, here);
                    dumped++;
                }
                catch (LinuxException)
                {
                    // One namespace's trouble is not the others'; it is dumped again in the next pass.
                    failures++;
                    watched.ComparedWith = null;
                }
            }
        }
        _audit.Read(pass, lost => LookForAgain(lost, pass));
        var waited = _bulk.Apply(pass);
        if (scope.Full && !scope.DryRun && _looksEverywhere && failures == 0)
        {
            DropInherited();
        }
        if (scope.Full)
        {
            _inherited.Arriving.Clear();
        }
        _state?.Confirm();
        _state?.CompactWhenWorthwhile(Remembered);
        return new PassSummary
        {
            Namespaces = _namespaces.Watched.Count,
            NamespacesDumped = dumped,
            Sockets = sockets,
            Read = _applier.Read,
            Processes = _processes.Count,
            InaccessibleProcesses = _processes.Inaccessible,
            NamespaceFailures = failures,
            Waited = waited,
        };
    }

    public void Dispose() => _namespaces.Dispose();

    /// <summary>Finds out which processes and namespaces there are.</summary>
    private void LookAround(ISocketSink sink)
    {
        if (_time.GetElapsedTime(_mountsReadAt) > AuditPeriod)
        {
            _mounts.Refresh();
            _mountsReadAt = _time.GetTimestamp();
        }
        _processes.Scan();
        _namespaces.Update(gone =>
        {
            foreach (var socket in gone.Sockets.Values)
            {
                Forget(socket);
            }
            sink.NamespaceGone(gone.Inode);
        });
    }

    private bool MustDump(WatchedNamespace watched, PassContext pass, out TcpActivity activity)
    {
        // Read before the dump: a connection made between the two is seen by both, and only costs another look.
        activity = watched.Handle.Counters.Read();
        return pass.Scope.Full
            || !ReferenceEquals(watched.ComparedWith, pass.Policy)
            || activity != watched.Activity
            || watched.NextTry <= pass.Number
            || (pass.Scope.WantsTimers(watched.Inode) && watched.Sockets.Count > 0)
            || _time.GetTimestamp() >= watched.DumpAt;
    }

    private int PassNamespace(WatchedNamespace watched, TcpActivity activity, PassContext pass)
    {
        watched.Dumps++;
        pass.Sink.BeginNamespace(watched.Inode);
        var visitor = new DumpVisitor(watched, pass, _inherited, _audit);
        // The idle clock decides the order of a bulk, which only a new namespace or policy brings; it makes a dump half as dear again.
        watched.Handle.Diag.Dump(pass.Scope.States, details: visitor.Compares || pass.Scope.WantsTimers(watched.Inode), ref visitor);
        watched.ComparedWith = pass.Policy;
        watched.Activity = activity;
        watched.DumpAt = NextDump(watched);
        DropUnseen(watched);
        _settlement.Settle(watched, pass);
        foreach (var socket in watched.Sockets.Values)
        {
            pass.Report(socket);
        }
        pass.Sink.EndNamespace(watched.Inode);
        return visitor.Count;
    }

    /// <summary>A period from now; less after the first dump, so that namespaces found together are not dumped together.</summary>
    private long NextDump(WatchedNamespace watched)
    {
        const int shares = 64;
        var period = DumpPeriod.TotalSeconds * _time.TimestampFrequency;
        return _time.GetTimestamp() + (long)(watched.Dumps > 1 ? period : period * (1 + (watched.Inode % shares)) / shares);
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

    private void DropUnseen(WatchedNamespace watched)
    {
        foreach (var (cookie, socket) in watched.Sockets)
        {
            // A socket that no rule selects and of which nothing is remembered needs no place here either.
            var idle = socket is { Rule: null, Memory: null, Unsettled: false, Replaced: null };
            if (socket.SeenInDump != watched.Dumps || idle)
            {
                watched.Sockets.Remove(cookie);
                Forget(socket);
            }
        }
    }

    private void Forget(TrackedSocket socket)
    {
        socket.Gone = true;
        _processes.Find(socket.Pid)?.Forget(socket.Descriptor);
        if (socket.Memory is not null)
        {
            _state?.Note(socket.Namespace, socket.Cookie, null);
        }
    }

    /// <summary>After a pass over everything, what was inherited and not met is of sockets that are gone.</summary>
    private void DropInherited()
    {
        foreach (var (netns, cookie) in _inherited.Keys)
        {
            _state?.Note(netns, cookie, null);
        }
        _inherited.Clear();
    }

    private Dictionary<(ulong, ulong), SocketMemory> Remembered()
    {
        var known = new Dictionary<(ulong, ulong), SocketMemory>(_inherited);
        foreach (var watched in _namespaces.Watched)
        {
            foreach (var socket in watched.Sockets.Values)
            {
                if (socket.Memory is { } memory)
                {
                    known[(socket.Namespace, socket.Cookie)] = memory;
                }
            }
        }
        return known;
    }
}
