using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Linux;
using Keepalive.Linux.Namespaces;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>Decides which namespaces a pass examines, and keeps the state of their sockets up to date. Both datapaths use it.</summary>
/// <remarks>A namespace is examined when its connection counters have changed and no reports show how, the policy has changed, or a socket waits
/// for another try. Otherwise it is examined once in <see cref="DumpPeriod"/>.</remarks>
/// <param name="options">The namespaces to examine, and the state of sockets.</param>
/// <param name="processes">The processes of each namespace.</param>
/// <param name="namespaces">The namespaces.</param>
internal sealed class NamespaceUpkeep(TrackingOptions options, ProcessTable processes, NamespaceInventory namespaces)
{
    /// <summary>The values of every tracked socket are read once in this time. With very many sockets it takes longer.</summary>
    public static readonly TimeSpan AuditPeriod = TimeSpan.FromSeconds(50);

    /// <summary>Every namespace is dumped at least this often. A dump walks the table of the whole node, so it is rare. The counters show
    /// that a socket came or went. A reading of its values also shows that a socket is gone.</summary>
    public static readonly TimeSpan DumpPeriod = TimeSpan.FromMinutes(10);

    private readonly TimeProvider _time = options.Time;
    private readonly InheritedSockets _inherited = options.Inherited;
    private readonly StateFile? _state = options.State;
    private readonly PassBudget _budget = new(options.Time);
    private readonly HashSet<ulong> _reached = [];
    private readonly HashSet<ulong> _waiting = [];
    private Action<ulong>? _release;
    private Func<WatchedNamespace, PassContext, bool?> _hasUnreported = static (_, _) => null;
    private Action<WatchedNamespace, PassContext> _follow = static (_, _) => { };
    private bool _isStarting;

    /// <summary>The owners that have more namespaces than are examined, or more work in them than a pass has time for, in words; null if
    /// there are none.</summary>
    public string? Excess => namespaces.Excess ?? _budget.Excess;

    /// <summary>Begins a pass: opens new namespaces and releases those without processes.</summary>
    /// <param name="pass">The pass; its sink receives the namespaces that are gone.</param>
    /// <param name="release">Called with the inode number of each namespace before it is released.</param>
    public void BeginPass(PassContext pass, Action<ulong>? release = null)
    {
        _release = release;
        _reached.Clear();
        _budget.BeginPass(pass.Scope);
        namespaces.Update(MayWait(pass) ? _budget : null, (watched, isGone) => LetGo(watched, isGone, pass));
    }

    /// <summary>Examines each namespace in which something may have changed. There may not be time for all of them, so owners that need
    /// little time come first.</summary>
    /// <param name="pass">The pass.</param>
    /// <param name="look">Examines one namespace, given the counters that were read before.</param>
    /// <param name="hasUnreported">Tells whether something has changed in a namespace that was not reported; null if the datapath does not know
    /// it, and the counters decide.</param>
    /// <param name="follow">Takes in what was reported of a namespace that is not examined.</param>
    public Visits Visit(
        PassContext pass, Func<WatchedNamespace, TcpActivity, PassContext, Look> look, Func<WatchedNamespace, PassContext, bool?> hasUnreported,
        Action<WatchedNamespace, PassContext> follow)
    {
        (_hasUnreported, _follow) = (hasUnreported, follow);
        var visits = new Visits { Failures = namespaces.Failures.Count, Waiting = namespaces.Waiting };
        foreach (var watched in namespaces.Watched.OrderBy(watched => _budget.Cost(watched.Account)).ThenBy(watched => !_waiting.Contains(watched.Inode)))
        {
            if (pass.Scope.Stop.IsCancellationRequested)
            {
                break;
            }
            _budget.Charge(watched.Account);
            if (IsRationed(watched, pass) && _budget.IsSpent)
            {
                Wait(watched, ref visits);
                continue;
            }
            LookInto(watched, pass, look, ref visits);
        }
        _budget.Stop();
        if (pass.Scope.Last)
        {
            // Other namespaces may have sockets that were set while there was room for them. Those are restored, too.
            var failed = namespaces.Failures.Count;
            var holding = _inherited.Keys.Select(key => key.Namespace).ToHashSet();
            foreach (var watched in namespaces.InTurn(holding.Contains, (done, isGone) => LetGo(done, isGone, pass)))
            {
                LookInto(watched, pass, look, ref visits);
            }
            visits.Failures += namespaces.Failures.Count - failed;
            visits.NotReached = NotReached();
        }
        return visits;
    }

    /// <summary>Whether work in a namespace may be left to the next pass.</summary>
    public static bool IsRationed(WatchedNamespace watched, PassContext pass) => MayWait(pass) && watched.Account is not null;

    /// <summary>Whether there is time left for the namespace that is being examined.</summary>
    public bool HasTime() => !_budget.IsSpent;

    /// <summary>Notes that a namespace was dumped.</summary>
    /// <param name="watched">The namespace.</param>
    /// <param name="policy">The policy that its sockets were compared with.</param>
    /// <param name="activity">Its counters, read before the dump.</param>
    public void Dumped(WatchedNamespace watched, PolicySnapshot policy, TcpActivity activity)
    {
        watched.ComparedWith = policy;
        watched.IsToBeCompared = false;
        watched.Activity = activity;
        watched.DumpAt = NextDump(watched);
        watched.Sockets.TrimExcess();
    }

    /// <summary>Drops a tracked socket if the dump did not show it, or if nothing has to be remembered of it.</summary>
    /// <param name="watched">The namespace.</param>
    /// <param name="socket">The socket.</param>
    /// <param name="pass">The pass, with the policy that its sockets were compared with. A pass that reads all keeps sockets that no rule
    /// selects, so that the next pass reports their values without reading them again.</param>
    /// <returns>Whether it was dropped.</returns>
    public bool Drop(WatchedNamespace watched, TrackedSocket socket, PassContext pass)
    {
        // A socket without a rule and without a memory is dropped, too, unless it has no rule because it is local.
        if (socket.SeenInDump == watched.Dumps
            && (pass.Scope.ReadAll || !socket.Standing.IsIdle || (socket.IsLocal && !pass.Policy.Policy.Fallback.IsEmpty)))
        {
            return false;
        }
        DropGone(watched, socket);
        return true;
    }

    /// <summary>Drops a tracked socket that is gone.</summary>
    public void DropGone(WatchedNamespace watched, TrackedSocket socket)
    {
        watched.Sockets.Remove(socket.Cookie);
        Forget(socket);
    }

    /// <summary>Ends a pass. Once every namespace was dumped since the last full pass began, inherited sockets that were not found are
    /// dropped: they no longer exist.</summary>
    public void EndPass(PassScope scope, Visits visits)
    {
        _isStarting |= scope.Full;
        if (!_isStarting || !visits.AreComplete)
        {
            Save();
            return;
        }
        _isStarting = false;
        if (!scope.DryRun && options.LooksEverywhere && !namespaces.LeavesOut)
        {
            foreach (var (netns, cookie) in _inherited.Keys)
            {
                _state?.Note(netns, cookie, null);
            }
            _inherited.Clear();
        }
        _inherited.Arriving.Clear();
        Save();
    }

    private void Save()
    {
        // Sockets are removed as they are found, and a predecessor may have had a hundred thousand.
        Spare.Trim(_inherited);
        _state?.Confirm();
        _state?.CompactWhenWorthwhile(Remembered, () => _inherited.Count + namespaces.Watched.Sum(static watched => watched.Sockets.Count));
    }

    /// <summary>The time of the next dump: a period from now. After the first dump it is less, so that namespaces found together are not
    /// dumped together.</summary>
    private long NextDump(WatchedNamespace watched)
    {
        const int shares = 64;
        var period = DumpPeriod.TotalSeconds * _time.TimestampFrequency;
        return _time.GetTimestamp() + (long)(watched.Dumps > 1 ? period : period * (1 + (watched.Inode % shares)) / shares);
    }

    /// <summary>Whether a namespace is to be dumped in this pass.</summary>
    /// <param name="watched">The namespace.</param>
    /// <param name="pass">The pass.</param>
    /// <param name="activity">Its counters, read before the dump. A connection made between the two is in the dump and also changes the
    /// counters. This only costs one more dump. Null if they were not needed.</param>
    private bool MustDump(WatchedNamespace watched, PassContext pass, out TcpActivity? activity)
    {
        activity = null;
        return pass.Scope.Full
            || !ReferenceEquals(watched.ComparedWith, pass.Policy)
            || watched.IsToBeCompared
            || watched.NextTry <= pass.Number
            || (pass.Scope.WantsTimers(watched.Inode) && watched.Sockets.Count > 0)
            || _time.GetTimestamp() >= watched.DumpAt
            || (_hasUnreported(watched, pass) ?? (activity = watched.Handle.Counters.Read()) != watched.Activity);
    }

    private void LookInto(WatchedNamespace watched, PassContext pass, Func<WatchedNamespace, TcpActivity, PassContext, Look> look, ref Visits visits)
    {
        _waiting.Remove(watched.Inode);
        var here = pass.In(watched);
        try
        {
            if (!MustDump(watched, here, out var activity))
            {
                _follow(watched, here);
                return;
            }
            var looked = look(watched, activity ?? watched.Handle.Counters.Read(), here);
            visits.Sockets += looked.Sockets;
            visits.Dumped++;
            _reached.Add(watched.Inode);
            if (looked.IsCutShort)
            {
                _waiting.Add(watched.Inode);
                visits.CutShort++;
            }
        }
        catch (LinuxException)
        {
            // A failure in one namespace does not stop the others. The next pass examines it again.
            visits.Failures++;
            watched.ComparedWith = null;
        }
    }

    /// <summary>Marks a namespace for which there was not enough time: the next pass prefers it to others of the same cost.</summary>
    private void Wait(WatchedNamespace watched, ref Visits visits)
    {
        _waiting.Add(watched.Inode);
        visits.Waiting++;
    }

    /// <summary>Sockets with an agent's values, in namespaces that have processes and that this pass did not examine.</summary>
    private int NotReached()
    {
        var missed = namespaces.Present().ToHashSet();
        missed.ExceptWith(_reached);
        return missed.Count == 0 ? 0 : Remembered().Count(known => known.Value.Holder == SocketHolder.Agent && missed.Contains(known.Key.Namespace));
    }

    private void LetGo(WatchedNamespace watched, bool isGone, PassContext pass)
    {
        _release?.Invoke(watched.Inode);
        _waiting.Remove(watched.Inode);
        foreach (var socket in watched.Sockets)
        {
            if (isGone || socket.Standing.Memory is not { } memory)
            {
                Forget(socket);
            }
            else
            {
                // The namespace still exists. When there is room for it again, this agent or the next one finds the socket.
                LoseSightOf(socket);
                _inherited[(socket.Namespace, socket.Cookie)] = memory;
            }
        }
        pass.Sink.NamespaceGone(watched.Inode);
    }

    private static bool MayWait(PassContext pass) => pass.Scope is { Only: false, Last: false };

    private void LoseSightOf(TrackedSocket socket)
    {
        socket.Leave();
        processes.Find(socket.Reach.Pid)?.Forget(socket.Reach.Descriptor);
    }

    private void Forget(TrackedSocket socket)
    {
        LoseSightOf(socket);
        if (socket.Standing.Memory is not null)
        {
            _state?.Note(socket.Namespace, socket.Cookie, null);
        }
    }

    /// <summary>All memories. A socket that is tracked is inherited no longer, so none comes twice.</summary>
    private IEnumerable<KeyValuePair<(ulong Namespace, ulong Cookie), SocketMemory>> Remembered()
    {
        foreach (var known in _inherited)
        {
            yield return known;
        }
        foreach (var watched in namespaces.Watched)
        {
            foreach (var socket in watched.Sockets)
            {
                if (socket.Standing.Memory is { } memory)
                {
                    yield return new((socket.Namespace, socket.Cookie), memory);
                }
            }
        }
    }
}

/// <summary>The result of the examination of one namespace.</summary>
/// <param name="Sockets">The sockets in it.</param>
/// <param name="IsCutShort">Whether there was no time for all of them.</param>
internal readonly record struct Look(int Sockets, bool IsCutShort);

/// <summary>The result of the examination of the namespaces.</summary>
internal record struct Visits
{
    /// <summary>Namespaces that were examined.</summary>
    public int Dumped { get; set; }

    /// <summary>Namespaces that could not be examined.</summary>
    public int Failures { get; set; }

    /// <summary>Namespaces left for the next pass, which were not dumped.</summary>
    public int Waiting { get; set; }

    /// <summary>Namespaces that were dumped, and some of whose sockets are left for the next pass.</summary>
    public int CutShort { get; set; }

    /// <summary>Sockets with an agent's values in namespaces that the agent's last pass did not examine.</summary>
    public int NotReached { get; set; }

    /// <summary>Sockets in the examined namespaces.</summary>
    public int Sockets { get; set; }

    /// <summary>Whether no namespace was left out: each one was dumped when something had changed in it.</summary>
    public readonly bool AreComplete => Failures == 0 && Waiting == 0;
}
