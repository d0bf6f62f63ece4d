using System.Runtime.InteropServices;
using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Linux;
using Keepalive.Linux.Bpf;
using Keepalive.Linux.Processes;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>The bpf datapath (Linux 5.15): BPF programs set a connection when it is established, and iterators read and set existing
/// sockets.</summary>
/// <remarks>
/// <code>
///   connect ──► sock_ops at the cgroup ──► policy maps ──► setsockopt ──► ring ──────────┐
///                                             ▲                                          ▼
///   policy ───────────────────────────────────┴──────────┐                         SocketRecord ──► sink
///                                                        ▼                               ▲
///   iter/task ──► namespaces ──► iter/tcp: read ──► match, judge ──► iter/tcp: apply ────┘
///                     │ gated by their connection counters
/// </code>
/// A namespace is read only if something may have changed in it (<see cref="NamespaceUpkeep"/>) or the values of a socket differ from
/// those last seen. The values of all sockets that processes hold are checked once in <see cref="NamespaceUpkeep.AuditPeriod"/> or less
/// often, by a walk over the node's descriptors. Each pass does a part of the walk.
/// </remarks>
internal sealed class BpfDatapath : TrackingDatapath<PlannedChange>
{
    /// <summary>A policy that did not fit is tried again after 1, 2, 4, … passes, at most two to the power of this number.</summary>
    private const int MaxAttemptsApart = 6;

    private const string ByPassesOnly = "New connections are set by passes only: ";

    private static readonly HashSet<ulong> s_none = [];

    private readonly KernelPrograms _kernel;
    private readonly bool _listedOnly;
    private readonly StateFile? _state;
    private readonly ProcessList? _processList;
    private readonly NamespaceThread _thread = new();
    private readonly PlanRunner _runner;
    private readonly DescriptorAudit _audit;
    private readonly AtOnce? _atOnce;
    private readonly List<PendingDecision> _decisions = [];
    private readonly List<PlannedChange> _changes = [];
    private Decision? _last;
    private IReadOnlyDictionary<ulong, int> _owners = SocketOwners.NotAskedFor;
    private BpfAbi.ka_settings _settings;
    private string? _trouble;
    private string? _detached;
    private uint _unknown;
    private PolicySnapshot? _tooLarge;
    private int _attempts;
    private long _nextAttempt;

    /// <param name="options">The namespaces to examine, and the state of sockets.</param>
    /// <param name="kernel">The programs. The caller disposes of them, after this object.</param>
    /// <param name="cgroup">The cgroup whose new connections are set when they are established; null leaves them to the passes.</param>
    /// <exception cref="BpfException">Nothing can be attached to the cgroup.</exception>
    public BpfDatapath(TrackingOptions options, KernelPrograms kernel, string? cgroup)
        // In namespaces that the user named, nothing here takes long by a tenant's doing.
        : base(options, slicesByNamespace: true, chargesOwners: options.LooksEverywhere || options.Exempts is not null)
    {
        _kernel = kernel;
        // The programs see the connections of the whole cgroup, but must not set those that the agent does not see. If some namespaces
        // are exempt, a namespace must be judged before its first connection is set. In both cases the programs set connections of listed
        // namespaces only.
        _listedOnly = !options.LooksEverywhere || options.Exempts is not null || !ProcFs.SeesWholeNode();
        _state = options.State;
        _processList = kernel.ProcessReader is { } reader ? new ProcessList(reader) : null;
        _runner = new PlanRunner(kernel, _thread, Ledger);
        Asker = new BpfAsker(kernel, _thread, Ledger);
        _audit = new DescriptorAudit(options.Time, kernel, Namespaces);
        WriteSettings(new PassScope(), PolicySnapshot.Empty, batch: 0);
        try
        {
            _atOnce = cgroup is null ? null : new AtOnce(kernel, options.State, cgroup);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public override string Name => "bpf";

    protected override IAsker Asker { get; }

    /// <summary>Makes sure that there is room for a policy in the kernel.</summary>
    /// <exception cref="LinuxException">There is no room.</exception>
    public void Prepare(PolicySnapshot policy) => _atOnce?.Prepare(policy);

    public override void Dispose()
    {
        if (_atOnce is not null)
        {
            NoteTheLast(_atOnce);
            _atOnce.Dispose();
        }
        _audit.Dispose();
        _thread.Dispose();
        base.Dispose();
    }

    protected override void ListProcesses()
    {
        // Before the processes are listed: the namespaces of these connections are then in the list, if they still exist.
        _atOnce?.Drain();
        if (_processList is not null)
        {
            Processes.Take(_processList.Read());
        }
        else
        {
            Processes.Scan();
        }
    }

    protected override void Release(ulong inode) => _atOnce?.Forget(inode);

    protected override void Begin(PassContext pass)
    {
        _atOnce?.Report(pass.Sink, Ledger, Namespaces, Workloads);
        WriteSettings(pass.Scope, pass.Policy, pass.Number);
        StayAttached();
        if (!pass.Scope.DryRun)
        {
            UpdateAtOnce(pass);   // a dry run puts no policy in force in the kernel
            FollowChanges();
            WriteSettings(pass.Scope, pass.Policy, pass.Number);
        }
        _audit.Walk(pass);
        var needsOwners = pass.Scope.Owners || (Workloads.NeedProcesses && Namespaces.Watched.Any(watched => watched.NeedsWorkloads(pass.Policy)));
        _owners = needsOwners ? SocketOwners.Read(_kernel) : SocketOwners.NotAskedFor;
    }

    protected override void Enumerate(DumpIntake intake)
    {
        _decisions.Clear();
        var visitor = new SocketVisitor(intake, _atOnce?.Announced ?? s_none, _owners, Ledger, _decisions);
        _atOnce?.Changes?.BeginReading(intake.Watched);
        using (var run = _thread.Begin(intake.Watched.Handle, _kernel.Reader))
        {
            BpfIterator.Read<BpfAbi.ka_socket, SocketVisitor>(run, ref visitor);
        }
        _unknown |= visitor.Unknown;
        _atOnce?.Changes?.EndReading(intake.Watched, visitor.Connecting);
    }

    protected override bool? HasUnreported(WatchedNamespace watched, PassContext pass) => _atOnce?.Changes?.HasUnreported(watched, pass);

    protected override bool HasReports(WatchedNamespace watched) => _atOnce?.Changes?.HasReports(watched) ?? false;

    protected override void EnumerateReports(DumpIntake intake)
    {
        _decisions.Clear();
        _atOnce!.Changes!.Take(intake.Watched, new SocketVisitor(intake, _atOnce.Announced, SocketOwners.NotAskedFor, Ledger, _decisions), intake);
    }

    protected override bool Settle(WatchedNamespace watched, PassContext pass)
    {
        _changes.Clear();
        foreach (ref readonly var pending in CollectionsMarshal.AsSpan(_decisions))
        {
            Decide(in pending, watched, pass);
        }
        Bulk.Collect(_changes, pass.Scope);
        var done = _runner.Run(CollectionsMarshal.AsSpan(_changes), pass.Scope, NamespaceUpkeep.IsRationed(watched, pass) ? Upkeep.HasTime : null, inOrder: true);
        foreach (var change in CollectionsMarshal.AsSpan(_changes)[done..])
        {
            // The next pass decides again.
            Ledger.RunOutOfTime(change.Socket, SocketOutcome.Pending, null);
        }
        var areAllDone = done == _changes.Count;
        // A start needs much room once.
        Spare.Clear(_changes);
        Spare.Clear(_decisions);
        return areAllDone;
    }

    private void Decide(in PendingDecision pending, WatchedNamespace watched, PassContext pass)
    {
        var (socket, (current, untouched), isProbing) = pending;
        if (!Ledger.CanBeSet(socket, pass.Scope))
        {
            socket.Standing.Read(current);
        }
        else if (Ledger.Decide(socket, current, pass, untouched) is { } verdict && Ledger.MayWrite(socket, verdict, isProbing, pass.Scope))
        {
            socket.Standing.StayUnsettled();
            _changes.Add(new PlannedChange(watched, socket, DecisionOf(current, socket.Standing.UserTimeout, in verdict)));
        }
    }

    /// <summary>Returns the decision; the last one, if it is the same.</summary>
    private Decision DecisionOf(in KeepaliveOptions from, int? userTimeout, in Verdict verdict) =>
        _last is { } last && last.Equals(in from, userTimeout, in verdict) ? last : _last = new Decision(from, userTimeout, in verdict);

    protected override void Write(PlannedChange[] changes, PassContext pass) => _runner.Run(changes, pass.Scope);

    protected override void End(PassContext pass, in Visits visits)
    {
        _owners = SocketOwners.NotAskedFor;
        if (visits.AreComplete && !pass.Scope.DryRun)
        {
            _atOnce?.EndPass();
        }
    }

    protected override PassSummary Complete(PassSummary summary) => summary with
    {
        Trouble = Trouble() ?? summary.Trouble,
        Lost = _atOnce?.Lost ?? 0,
        LeftToPasses = _atOnce?.LeftToPasses ?? 0,
    };

    /// <summary>Notes the sockets that were set at once and that no pass will find: the agent stops and does not restore them.</summary>
    private void NoteTheLast(AtOnce atOnce)
    {
        try
        {
            var from = atOnce.Stop();
            foreach (var watched in _state is null ? [] : Namespaces.Watched)
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
            // The announced values stay in the state file. The next agent recognizes the sockets by them.
        }
    }

    /// <summary>Makes sure that the programs still see new connections.</summary>
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

    /// <summary>Has new connections set by this policy. If it does not fit into the kernel, passes alone apply it, and this is tried
    /// again after more and more passes.</summary>
    private void UpdateAtOnce(PassContext pass)
    {
        var policy = pass.Policy;
        if (_atOnce is null || (ReferenceEquals(policy, _tooLarge) && pass.Number < _nextAttempt))
        {
            return;
        }
        try
        {
            _atOnce.Update(policy, Namespaces.Watched);
            (_trouble, _tooLarge) = (null, null);
        }
        catch (LinuxException e)
        {
            _atOnce.Suspend();
            _attempts = ReferenceEquals(policy, _tooLarge) ? Math.Min(_attempts + 1, MaxAttemptsApart) : 0;
            _nextAttempt = pass.Number + (1L << _attempts);
            _tooLarge = policy;
            _trouble = ByPassesOnly + BpfRequirements.Explain(e);
        }
    }

    /// <summary>Has the connections of all namespaces counted. Without memory for it, the counters of the kernel decide which are read.</summary>
    private void FollowChanges()
    {
        try
        {
            _atOnce?.Changes?.Follow(Namespaces.Watched);
        }
        catch (LinuxException)
        {
            // The next pass tries again.
        }
    }

    private string? Trouble()
    {
        string[] all = [.. ((string?[])[_trouble, _detached, UnknownColumns.Say(_unknown, _kernel)]).OfType<string>()];
        return all.Length == 0 ? null : string.Join(". ", all);
    }

    private void WriteSettings(PassScope scope, PolicySnapshot policy, long batch)
    {
        var settings = CgroupPrograms.Signed(new BpfAbi.ka_settings
        {
            states = (uint)scope.States,
            both_sides = policy.Policy.Side == Config.Side.Both ? (byte)1 : (byte)0,
            listed_only = _listedOnly ? (byte)1 : (byte)0,
            is_current = _atOnce?.Has(policy) ?? false ? (byte)1 : (byte)0,
            batch = (uint)batch,
        });
        if (!settings.Equals(_settings))
        {
            _kernel.SettingsMap.Update(0u, in settings);
            _settings = settings;
        }
    }

    private readonly struct LastLook(WatchedNamespace watched, StateFile state) : IBpfRecordVisitor<BpfAbi.ka_socket>
    {
        public void Visit(in BpfAbi.ka_socket record)
        {
            if ((record.kind & BpfAbi.KA_SET_AT_ONCE) != 0
                && (!watched.Sockets.TryGetValue(record.tuple.cookie, out var socket) || socket.Standing.IsNew))
            {
                state.Note(watched.Inode, record.tuple.cookie, SocketVisitor.AsIfUntouched(in record));
            }
        }
    }
}
