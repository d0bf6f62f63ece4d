using System.Runtime.InteropServices;
using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Linux;
using Keepalive.Linux.Bpf;
using Keepalive.Linux.Namespaces;
using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>BPF programs that set a connection when it is established, and iterators for the sockets there are (Linux 5.15).</summary>
/// <remarks>
/// <code>
///   connect ──► sock_ops at the cgroup ──► policy maps ──► setsockopt ──► ring ──────────┐
///                                             ▲                                          ▼
///   policy ───────────────────────────────────┴──────────┐                         SocketRecord ──► sink
///                                                        ▼                               ▲
///   iter/task ──► namespaces ──► iter/tcp: read ──► match, judge ──► iter/tcp: apply ────┘
///                     │ gated by their connection counters
/// </code>
/// A namespace is read only when something may have changed in it (<see cref="NamespaceUpkeep"/>) or a socket has other values than it was left with.
/// The values of all sockets that processes hold are looked at once in <see cref="NamespaceUpkeep.AuditPeriod"/> or less often, in one walk over
/// the node's descriptors, a part of it in each pass.
/// </remarks>
internal sealed class BpfDatapath : IDatapath
{
    /// <summary>A policy that did not fit is tried again after 1, 2, 4, … and at most two to the power of this many passes.</summary>
    private const int MostAttemptsApart = 6;

    private const string ByPassesOnly = "New connections are not set when they are established, but in passes: ";

    private static readonly HashSet<ulong> s_none = [];

    private readonly KernelPrograms _kernel;
    private readonly bool _listedOnly;
    private readonly bool _listsProcesses;
    private readonly StateFile? _state;
    private readonly InheritedSockets _inherited;
    private readonly ProcessTable _processes = new();
    private readonly ProcessList? _processList;
    private readonly NamespaceInventory _namespaces;
    private readonly NamespaceUpkeep _upkeep;
    private readonly NamespaceThread _thread = new();
    private readonly SocketLedger _ledger;
    private readonly PlanRunner _runner;
    private readonly SpreadPlans _spread;
    private readonly DescriptorAudit _audit;
    private readonly AtOnce? _atOnce;
    private readonly List<PlannedChange> _changes = [];
    private BpfAbi.ka_settings _settings;
    private string? _trouble;
    private string? _detached;
    private uint _unknown;
    private PolicySnapshot? _tooLarge;
    private int _attempts;
    private long _nextAttempt;
    private long _passes;

    /// <param name="time">The clock of audits and spreads.</param>
    /// <param name="kernel">The programs, which outlive this.</param>
    /// <param name="only">Paths of the only namespaces to look at; empty for all of the node.</param>
    /// <param name="inherited">What a predecessor knew; emptied as its sockets are met again.</param>
    /// <param name="state">Where changes are noted; null where none are made or kept.</param>
    /// <param name="cgroup">The cgroup whose new connections are set when they are established; null leaves them to the passes.</param>
    /// <param name="exempts">Which namespaces are left alone; null is none.</param>
    /// <exception cref="BpfException">Nothing can be attached to the cgroup.</exception>
    public BpfDatapath(
        TimeProvider time,
        KernelPrograms kernel,
        IReadOnlyList<string> only,
        InheritedSockets inherited,
        StateFile? state,
        string? cgroup,
        NamespaceExemption? exempts = null)
    {
        _kernel = kernel;
        var looksEverywhere = only.Count == 0;
        // The programs see the connections of the whole cgroup: what the agent itself does not see is not its business.
        // Where some are left alone, whether one is has to be known before its first connection is set.
        _listedOnly = !looksEverywhere || exempts is not null || !ProcFs.SeesWholeNode();
        _listsProcesses = looksEverywhere || exempts is not null;
        _state = state;
        _inherited = inherited;
        _processList = kernel.ProcessReader is { } reader ? new ProcessList(reader) : null;
        _namespaces = new NamespaceInventory(_processes, only, exempts);
        _upkeep = new NamespaceUpkeep(time, _processes, _namespaces, inherited, state, looksEverywhere);
        _ledger = new SocketLedger(state, inherited);
        _runner = new PlanRunner(kernel, _thread, _ledger);
        _spread = new SpreadPlans(time, _runner);
        _audit = new DescriptorAudit(time, kernel, _namespaces);
        WriteSettings(new PassScope(), PolicySnapshot.Empty);
        try
        {
            _atOnce = cgroup is null ? null : new AtOnce(kernel, state, cgroup);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public string Name => "bpf";

    /// <summary>Makes sure that there is room for a policy in the kernel.</summary>
    /// <exception cref="LinuxException">There is not.</exception>
    public void Prepare(PolicySnapshot policy) => _atOnce?.Prepare(policy);

    public PassSummary Pass(PolicySnapshot policy, PassScope scope, ISocketSink sink)
    {
        var pass = new PassContext(++_passes, policy, scope, sink);
        _atOnce?.Drain();
        LookAround(pass);
        _atOnce?.Report(sink, _namespaces);
        WriteSettings(scope, policy);
        StayAttached();
        if (!scope.DryRun)
        {
            UpdateAtOnce(policy);   // a dry run puts no policy in force in the kernel
        }
        _audit.Walk(pass);
        var owners = scope.Owners ? SocketOwners.Read(_kernel) : SocketOwners.NotAskedFor;
        var visits = _upkeep.Visit(pass, (watched, activity, here) => PassNamespace(watched, activity, owners, here));
        var waited = _spread.Apply(pass);
        if (visits.AreComplete && !scope.DryRun)
        {
            _atOnce?.EndPass();
        }
        _upkeep.EndPass(scope, visits);
        return new PassSummary
        {
            Namespaces = _namespaces.Watched.Count,
            NamespacesDumped = visits.Dumped,
            Sockets = visits.Sockets,
            Read = visits.Sockets,
            Processes = _processes.Count,
            InaccessibleProcesses = _processes.Inaccessible,
            NamespaceFailures = visits.Failures,
            NamespaceFailure = _namespaces.Failure,
            NamespacesLeftOut = _namespaces.LeftOut,
            NotReached = visits.NotReached,
            Trouble = Trouble() ?? _upkeep.Excess,
            Lost = _atOnce?.Lost ?? 0,
            Waited = waited,
        };
    }

    public void Dispose()
    {
        if (_atOnce is not null)
        {
            NoteTheLast(_atOnce);
            _atOnce.Dispose();
        }
        _audit.Dispose();
        _thread.Dispose();
        _namespaces.Dispose();
    }

    /// <summary>Notes what was set at once and no pass will meet: the agent stops and leaves it as it is.</summary>
    private void NoteTheLast(AtOnce atOnce)
    {
        try
        {
            var from = atOnce.Stop();
            foreach (var watched in _state is null ? [] : _namespaces.Watched)
            {
                if (from?.Contains(watched.Inode) ?? true)
                {
                    var visitor = new LastLook(watched, _state!);
                    using var run = _thread.Begin(watched.Handle, _kernel.Reader);
                    BpfIterator.Read<BpfAbi.ka_socket, LastLook>(run, ref visitor);
                }
            }
            _state?.TryAnnounce([]);
        }
        catch (LinuxException)
        {
            // What was announced stays so, and is what the next agent goes by.
        }
    }

    /// <summary>Sees to it that new connections are still seen.</summary>
    private void StayAttached()
    {
        try
        {
            _atOnce?.StayAttached();
            _detached = null;
        }
        catch (BpfException e)
        {
            _detached = $"{ByPassesOnly}the programs are no longer at the cgroup, and cannot be attached again: {BpfRequirements.Explain(e)}";
        }
    }

    /// <summary>Has new connections set by this policy. One that does not fit into the kernel is in force all the same, by the passes alone, and
    /// tried again in more and more of them.</summary>
    private void UpdateAtOnce(PolicySnapshot policy)
    {
        if (_atOnce is null || (ReferenceEquals(policy, _tooLarge) && _passes < _nextAttempt))
        {
            return;
        }
        try
        {
            _atOnce.Update(policy, _namespaces.Watched);
            (_trouble, _tooLarge) = (null, null);
        }
        catch (LinuxException e)
        {
            _atOnce.Suspend();
            _attempts = ReferenceEquals(policy, _tooLarge) ? Math.Min(_attempts + 1, MostAttemptsApart) : 0;
            _nextAttempt = _passes + (1L << _attempts);
            _tooLarge = policy;
            _trouble = ByPassesOnly + BpfRequirements.Explain(e);
        }
    }

    private string? Trouble()
    {
        string[] all = [.. ((string?[])[_trouble, _detached, UnknownColumns.Say(_unknown, _kernel)]).OfType<string>()];
        return all.Length == 0 ? null : string.Join(". ", all);
    }

    private void WriteSettings(PassScope scope, PolicySnapshot policy)
    {
        var settings = CgroupPrograms.Signed(new BpfAbi.ka_settings
        {
            states = (uint)scope.States,
            both_sides = policy.Policy.Side == Config.Side.Both ? (byte)1 : (byte)0,
            listed_only = _listedOnly ? (byte)1 : (byte)0,
        });
        if (!settings.Equals(_settings))
        {
            _kernel.SettingsMap.Update(0u, in settings);
            _settings = settings;
        }
    }

    /// <summary>Finds out which processes and namespaces there are.</summary>
    private void LookAround(PassContext pass)
    {
        if (_listsProcesses && _processList is not null)
        {
            _processes.Take(_processList.Read());
        }
        else if (_listsProcesses)
        {
            _processes.Scan();
        }
        _upkeep.BeginPass(pass, _atOnce is null ? null : _atOnce.Forget);
    }

    private int PassNamespace(WatchedNamespace watched, TcpActivity activity, IReadOnlyDictionary<ulong, int> owners, PassContext pass)
    {
        watched.Dumps++;
        pass.Sink.BeginNamespace(watched.Inode);
        _changes.Clear();
        var visitor = new SocketVisitor(watched, pass, _inherited, _atOnce?.Announced ?? s_none, owners, _ledger, _changes);
        using (var run = _thread.Begin(watched.Handle, _kernel.Reader))
        {
            BpfIterator.Read<BpfAbi.ka_socket, SocketVisitor>(run, ref visitor);
        }
        _unknown |= visitor.Unknown;
        _upkeep.Dumped(watched, pass.Policy, activity);
        _spread.Collect(_changes, pass.Scope);
        var done = _runner.Run(CollectionsMarshal.AsSpan(_changes), pass.Scope, NamespaceUpkeep.IsRationed(watched, pass) ? _upkeep.HasTime : null);
        for (var i = done; i < _changes.Count; i++)
        {
            // Decided again in the next pass.
            watched.Waits = true;
            (_changes[i].Socket.Outcome, _changes[i].Socket.Attempts) = (SocketOutcome.Pending, 0);
        }
        watched.NextTry = long.MaxValue;
        foreach (var socket in watched.Sockets.Values)
        {
            if (socket.Unsettled)
            {
                socket.PutOff(pass.Number);
                watched.NextTry = Math.Min(watched.NextTry, socket.NextTry);
            }
            pass.Report(socket);
        }
        pass.Sink.EndNamespace(watched.Inode);
        return visitor.Count;
    }

    private readonly struct LastLook(WatchedNamespace watched, StateFile state) : IBpfRecordVisitor<BpfAbi.ka_socket>
    {
        public void Visit(in BpfAbi.ka_socket record)
        {
            if ((record.kind & BpfAbi.KA_SET_AT_ONCE) != 0
                && (!watched.Sockets.TryGetValue(record.tuple.cookie, out var socket) || SocketVisitor.IsNew(socket)))
            {
                state.Note(watched.Inode, record.tuple.cookie, SocketVisitor.AsIfUntouched(in record));
            }
        }
    }
}
