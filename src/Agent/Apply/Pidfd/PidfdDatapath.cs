using Keepalive.Agent.Apply.Tracking;

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
    private readonly List<TrackedSocket> _sockets = [];
    private readonly List<TrackedSocket> _lost = [];

    /// <param name="options">The namespaces to examine, and the state of sockets.</param>
    public PidfdDatapath(TrackingOptions options)
        : base(options, slicesByNamespace: false, chargesOwners: true)
    {
        _budget = new PassBudget(options.Time);
        _applier = new SocketApplier(Ledger);
        _owners = new OwnerSearch(Processes, Namespaces, _budget);
        _audit = new ValueAudit(options.Time, NamespaceUpkeep.AuditPeriod, _owners, _applier);
        _settlement = new Settlement(_owners, _applier, Ledger, Bulk);
        Asker = new PidfdAsker(_owners, Ledger, LookForAgain);
    }

    public override string Name => "pidfd";

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
        var visitor = new DumpVisitor(intake);
        // Idle times decide the order of a bulk. Only a new namespace or policy causes a bulk, and details make a dump about 50 % slower.
        watched.Handle.Diag.Dump(scope.States, details: intake.Compares || scope.WantsTimers(watched.Inode), ref visitor);
    }

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
