using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Linux;
using Keepalive.Linux.Namespaces;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>Which namespaces a pass looks at, and what becomes of what is known of sockets: the same for every way of reaching them.</summary>
/// <remarks>A namespace is looked at only when its connection counters moved, the policy changed, a socket waits for another try, or for want of all
/// that once in <see cref="DumpPeriod"/>.</remarks>
/// <param name="options">What to look at.</param>
/// <param name="processes">Who lives where.</param>
/// <param name="namespaces">The namespaces.</param>
internal sealed class NamespaceUpkeep(TrackingOptions options, ProcessTable processes, NamespaceInventory namespaces)
{
    /// <summary>Every tracked socket's values are read once in this time, where there are not so many that it takes longer.</summary>
    public static readonly TimeSpan AuditPeriod = TimeSpan.FromSeconds(50);

    /// <summary>Every namespace is dumped at least this often. A dump walks the whole node's table; that something came or went is told by
    /// the counters, and that a socket is gone also by the reading of its values.</summary>
    public static readonly TimeSpan DumpPeriod = TimeSpan.FromMinutes(10);

    private readonly TimeProvider _time = options.Time;
    private readonly InheritedSockets _inherited = options.Inherited;
    private readonly StateFile? _state = options.State;
    private readonly PassBudget _budget = new(options.Time);
    private readonly HashSet<ulong> _reached = [];
    private readonly HashSet<ulong> _waiting = [];
    private Action<ulong>? _release;

    /// <summary>Who has more namespaces than are looked into, or more work in them than a pass has time for, in words; null where nobody has.</summary>
    public string? Excess => namespaces.Excess ?? _budget.Excess;

    /// <summary>Begins a pass: opens namespaces that are new and releases those nobody lives in.</summary>
    /// <param name="pass">The pass; its sink is told which are gone.</param>
    /// <param name="release">Called with the inode number of each before it is released.</param>
    public void BeginPass(PassContext pass, Action<ulong>? release = null)
    {
        _release = release;
        _reached.Clear();
        _budget.BeginPass(pass.Scope);
        namespaces.Update(MayWait(pass) ? _budget : null, (watched, isGone) => LetGo(watched, isGone, pass));
    }

    /// <summary>Looks into each namespace in which something may have changed, into those of whoever costs little first: there may not be time for all.</summary>
    /// <param name="pass">The pass.</param>
    /// <param name="look">Looks into one, given the counters read before.</param>
    public Visits Visit(PassContext pass, Func<WatchedNamespace, TcpActivity, PassContext, Look> look)
    {
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
            // What was set while there was room for them is given back all the same.
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

    /// <summary>Whether what is done in a namespace may be left to the next pass.</summary>
    public static bool IsRationed(WatchedNamespace watched, PassContext pass) => MayWait(pass) && watched.Account is not null;

    /// <summary>Whether there is time left for the namespace that is being looked into.</summary>
    public bool HasTime() => !_budget.IsSpent;

    /// <summary>A namespace has been dumped: what was not seen is gone.</summary>
    public void Dumped(WatchedNamespace watched, PolicySnapshot policy, TcpActivity activity)
    {
        watched.ComparedWith = policy;
        watched.Activity = activity;
        watched.DumpAt = NextDump(watched);
        foreach (var (cookie, socket) in watched.Sockets)
        {
            // A socket that no rule selects and of which nothing is remembered needs no place here either.
            if (socket.SeenInDump != watched.Dumps || socket.Standing.IsIdle)
            {
                watched.Sockets.Remove(cookie);
                Forget(socket);
            }
        }
    }

    /// <summary>Ends a pass. After one over everything, what was inherited and not met is of sockets that are gone.</summary>
    public void EndPass(PassScope scope, Visits visits)
    {
        if (scope.Full && !scope.DryRun && options.LooksEverywhere && visits.AreComplete && !namespaces.LeavesOut)
        {
            foreach (var (netns, cookie) in _inherited.Keys)
            {
                _state?.Note(netns, cookie, null);
            }
            _inherited.Clear();
        }
        if (scope.Full && visits.AreComplete)
        {
            _inherited.Arriving.Clear();
        }
        _state?.Confirm();
        _state?.CompactWhenWorthwhile(Remembered);
    }

    /// <summary>A period from now; less after the first dump, so that namespaces found together are not dumped together.</summary>
    private long NextDump(WatchedNamespace watched)
    {
        const int shares = 64;
        var period = DumpPeriod.TotalSeconds * _time.TimestampFrequency;
        return _time.GetTimestamp() + (long)(watched.Dumps > 1 ? period : period * (1 + (watched.Inode % shares)) / shares);
    }

    /// <summary>Whether a namespace is to be dumped in this pass.</summary>
    /// <param name="watched">The namespace.</param>
    /// <param name="pass">The pass.</param>
    /// <param name="activity">Its counters, read before the dump: a connection made between the two is seen by both, and only costs another look.</param>
    private bool MustDump(WatchedNamespace watched, PassContext pass, out TcpActivity activity)
    {
        activity = watched.Handle.Counters.Read();
        return pass.Scope.Full
            || !ReferenceEquals(watched.ComparedWith, pass.Policy)
            || activity != watched.Activity
            || watched.NextTry <= pass.Number
            || (pass.Scope.WantsTimers(watched.Inode) && watched.Sockets.Count > 0)
            || _time.GetTimestamp() >= watched.DumpAt;
    }

    private void LookInto(WatchedNamespace watched, PassContext pass, Func<WatchedNamespace, TcpActivity, PassContext, Look> look, ref Visits visits)
    {
        _waiting.Remove(watched.Inode);
        var here = pass.In(watched);
        if (!MustDump(watched, here, out var activity))
        {
            return;
        }
        try
        {
            var looked = look(watched, activity, here);
            visits.Sockets += looked.Sockets;
            visits.Dumped++;
            _reached.Add(watched.Inode);
            if (looked.IsCutShort)
            {
                Wait(watched, ref visits);
            }
        }
        catch (LinuxException)
        {
            // One namespace's trouble is not the others'; it is looked into again in the next pass.
            visits.Failures++;
            watched.ComparedWith = null;
        }
    }

    /// <summary>There was no time for it, or not for all of it: the next pass begins with it.</summary>
    private void Wait(WatchedNamespace watched, ref Visits visits)
    {
        _waiting.Add(watched.Inode);
        visits.Waiting++;
    }

    /// <summary>Sockets that have an agent's values, in namespaces that something lives in and that this pass did not look into.</summary>
    private int NotReached()
    {
        var missed = namespaces.Present().ToHashSet();
        missed.ExceptWith(_reached);
        return missed.Count == 0 ? 0 : Remembered().Count(known => known.Value.Holder == SocketHolder.Agent && missed.Contains(known.Key.Item1));
    }

    private void LetGo(WatchedNamespace watched, bool isGone, PassContext pass)
    {
        _release?.Invoke(watched.Inode);
        _waiting.Remove(watched.Inode);
        foreach (var socket in watched.Sockets.Values)
        {
            if (isGone || socket.Standing.Memory is not { } memory)
            {
                Forget(socket);
            }
            else
            {
                // What there was no room for is met again when there is, by this agent or the next one.
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

    private Dictionary<(ulong, ulong), SocketMemory> Remembered()
    {
        var known = new Dictionary<(ulong, ulong), SocketMemory>(_inherited);
        foreach (var watched in namespaces.Watched)
        {
            foreach (var socket in watched.Sockets.Values)
            {
                if (socket.Standing.Memory is { } memory)
                {
                    known[(socket.Namespace, socket.Cookie)] = memory;
                }
            }
        }
        return known;
    }
}

/// <summary>What came of looking into one namespace.</summary>
/// <param name="Sockets">The sockets in it.</param>
/// <param name="IsCutShort">Whether there was no time for all of it.</param>
internal readonly record struct Look(int Sockets, bool IsCutShort);

/// <summary>What came of looking into the namespaces.</summary>
internal record struct Visits
{
    /// <summary>Those looked into.</summary>
    public int Dumped { get; set; }

    /// <summary>Those that could not be.</summary>
    public int Failures { get; set; }

    /// <summary>Those left for the next pass.</summary>
    public int Waiting { get; set; }

    /// <summary>Sockets with an agent's values that the last pass of all did not come to.</summary>
    public int NotReached { get; set; }

    /// <summary>The sockets in them.</summary>
    public int Sockets { get; set; }

    /// <summary>Whether none was left out.</summary>
    public readonly bool AreComplete => Failures == 0 && Waiting == 0;
}
