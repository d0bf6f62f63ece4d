using System.Runtime.InteropServices;
using Keepalive.Agent.Apply.Tracking;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>The pidfd datapath: sock_diag lists sockets and pidfd_getfd reaches them (Linux 5.6). It works with any cgroup version and
/// inside a user namespace.</summary>
/// <remarks>Values are read again in rotation, each once in <see cref="NamespaceUpkeep.AuditPeriod"/>.</remarks>
internal sealed class PidfdDatapath : TrackingDatapath<FoundSocket>
{
    private readonly PassBudget _budget;
    private readonly SocketApplier _applier;
    private readonly OwnerSearch _owners;
    private readonly ValueAudit _audit;
    private readonly Settlement _settlement;
    private readonly RosterReader _reader;
    private readonly TimeProvider _time;
    private readonly Dictionary<ulong, SocketRoster> _rosters = [];
    private readonly List<TrackedSocket> _sockets = [];
    private readonly List<TrackedSocket> _lost = [];

    /// <param name="options">The namespaces to examine, and the state of sockets.</param>
    public PidfdDatapath(TrackingOptions options)
        : base(options, slicesByNamespace: false, chargesOwners: true)
    {
        _budget = new PassBudget(options.Time);
        _applier = new SocketApplier(Ledger);
        _owners = new OwnerSearch(Processes, Namespaces, _budget, options.Time);
        _audit = new ValueAudit(options.Time, NamespaceUpkeep.AuditPeriod, _owners, _applier);
        _settlement = new Settlement(_owners, _applier, Ledger, Bulk);
        _reader = new RosterReader(Processes, _owners);
        _time = options.Time;
        Asker = new PidfdAsker(_owners, Ledger, LookForAgain);
    }

    public override string Name => "pidfd";

    /// <summary>Readings of a namespace without a dump.</summary>
    public long ReadWithoutDump => _reader.Read;

    public override void Dispose()
    {
        _owners.Dispose();
        base.Dispose();
    }

    protected override IAsker Asker { get; }

    protected override void ListProcesses() => Processes.Scan();

    protected override void Begin(PassContext pass)
    {
        _applier.BeginPass();
        _budget.BeginPass(pass.Scope);
    }

    protected override void Enumerate(DumpIntake intake)
    {
        var (watched, scope) = (intake.Watched, intake.Pass.Scope);
        // Idle times decide the order of a bulk. Only a new namespace or policy causes a bulk, and details make a dump about 50 % slower.
        var details = intake.Compares || scope.WantsTimers(watched.Inode);
        var roster = RosterOf(watched, scope);
        if (!details && roster is { IsWhole: true } && _time.GetElapsedTime(roster.DumpedAt) < NamespaceUpkeep.DumpPeriod && roster.IsDue())
        {
            var isRead = _reader.TryRead(roster, intake);
            roster.Tried(isRead);
            if (isRead)
            {
                return;
            }
        }
        var before = roster is null ? default : watched.Handle.Counters.Read();
        roster?.BeginDump(_time.GetTimestamp());
        var visitor = new DumpVisitor(intake, roster);
        watched.Handle.Diag.Dump(scope.States, details, ref visitor);
        if (roster is not null && visitor.CloseWait > 0 && watched.Handle.Counters.Read() == before)
        {
            _reader.Learn(before, visitor.Established, visitor.CloseWait);
        }
    }

    /// <summary>The sockets of the last reading of a namespace; null if they are not kept, because nothing has changed since the first
    /// one or a pass is of another kind.</summary>
    private SocketRoster? RosterOf(WatchedNamespace watched, PassScope scope)
    {
        if (watched.Dumps == 1 || scope is not { Full: false, ReadAll: false, DryRun: false, Only: false, Last: false, States: TcpStates.Connections })
        {
            _rosters.Remove(watched.Inode);
            return null;
        }
        ref var roster = ref CollectionsMarshal.GetValueRefOrAddDefault(_rosters, watched.Inode, out _);
        return roster ??= new SocketRoster();
    }

    protected override void Release(ulong inode) => _rosters.Remove(inode);

    protected override void Track(TrackedSocket socket) => _audit.Add(socket);

    /// <remarks>If the time for a search is used up, the next pass continues it, for these sockets alone.</remarks>
    protected override bool Settle(WatchedNamespace watched, PassContext pass) => _settlement.Settle(watched, pass);

    protected override void Audit(PassContext pass) => _audit.Read(pass, lost => LookForAgain(lost, pass));

    protected override void Write(FoundSocket[] changes, PassContext pass)
    {
        _sockets.Clear();
        _sockets.AddRange(changes.Select(change => change.Socket));
        _sockets.Sort(OwnerSearch.ByProcess);
        _lost.Clear();
        var handler = new ReachedSocket(_applier, pass, areMany: true);
        _owners.Revisit(_sockets, _lost, ref handler);
        Spare.Clear(_sockets);
    }

    protected override PassSummary Complete(PassSummary summary) => summary with
    {
        Read = _applier.Read,
        Trouble = summary.Trouble ?? _budget.Excess,
    };

    /// <summary>Handles a socket that the audit did not find. It was closed, or has another descriptor now: the next dump shows
    /// which.</summary>
    private void LookForAgain(TrackedSocket socket, PassContext pass)
    {
        socket.Standing.UnsettleIn(pass.Number + 1);
        if (Namespaces.Find(socket.Namespace) is { } watched)
        {
            watched.NextTry = pass.Number + 1;
        }
    }
}
