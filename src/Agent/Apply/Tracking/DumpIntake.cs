using System.Runtime.InteropServices;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>Processes a dump of one namespace: tracks the sockets that a rule selects, and reports the others at once.</summary>
/// <param name="watched">The namespace.</param>
/// <param name="pass">The pass it belongs to.</param>
/// <param name="inherited">The state of a predecessor; a socket is removed when it is found.</param>
/// <param name="workloads">Finds the workloads of sockets.</param>
/// <param name="tracked">Called for each socket that is tracked from now on.</param>
/// <param name="isOfReports">Whether there is no dump, and only sockets come that have changed.</param>
internal sealed class DumpIntake(
    WatchedNamespace watched, PassContext pass, InheritedSockets inherited, SocketWorkloads workloads, Action<TrackedSocket>? tracked, bool isOfReports = false)
{
    /// <summary>Allows for the time that the kernel's clock and a part of a dump take, in milliseconds.</summary>
    private const long Slack = 100;

    /// <summary>Sockets between two looks at the clock.</summary>
    private const int Stride = 1024;

    private readonly List<ulong> _gone = [];
    private List<Unselected>? _waiting;
    private long _quiet = long.MaxValue;
    private int _shown;
    private bool _areAnyUnselected;

    private readonly bool _judgesAnew = pass.Scope.Full || watched.ComparedWith?.JudgesAs(pass.Policy) != true;

    /// <summary>The namespace.</summary>
    public WatchedNamespace Watched => watched;

    /// <summary>The pass, with the policy that applies to this namespace.</summary>
    public PassContext Pass => pass;

    /// <summary>Whether sockets that are tracked already are matched with the policy again.</summary>
    public bool Compares { get; } = pass.Scope.Full || watched.IsToBeCompared || !ReferenceEquals(watched.ComparedWith, pass.Policy);

    /// <summary>Whether all sockets are reported. Otherwise the receiver knows the last dump, and only <see cref="News"/> are.</summary>
    public bool IsComplete { get; } = !isOfReports && (!pass.Sink.TakesChanges || !ReferenceEquals(watched.ReportedTo, pass.Sink)
        || pass.Scope is { Full: true } or { ReadAll: true } or { DryRun: true } or { Only: true } or { Last: true }
        || pass.Scope.WantsTimers(watched.Inode) || watched.IsToBeCompared || !ReferenceEquals(watched.ComparedWith, pass.Policy));

    /// <summary>The tracked sockets that have to be reported, unless all have to be.</summary>
    public List<TrackedSocket> News { get; init; } = [];

    /// <summary>The clock that <see cref="WatchedNamespace.DumpedAt"/> is read from; null if all sockets count as changed.</summary>
    public TimeProvider? Time { get; init; }

    /// <summary>Sockets seen.</summary>
    public int Count { get; private set; }

    /// <summary>Processes one socket.</summary>
    /// <param name="seen">Its state in the dump.</param>
    /// <param name="reading">Its values, if the dump shows them.</param>
    /// <param name="pid">The process that holds it; 0 if unknown.</param>
    /// <returns>The tracked socket. Null if it is not tracked; it has then been reported.</returns>
    public TrackedSocket? Take(in SeenSocket seen, in SocketReading? reading = null, int pid = 0)
    {
        if (Count++ % Stride == 0 && Time is not null)
        {
            _quiet = (long)Time.GetElapsedTime(watched.DumpedAt).TotalMilliseconds + Slack;
        }
        var isWanted = !isOfReports && watched.LocalEnds.Wants(in seen);
        if (isWanted)
        {
            watched.LocalEnds.Add(in seen, workloads.Of(watched, in seen, pid));
        }
        TrackedSocket? socket = null;
        // A closed socket counts as not seen, so it is dropped if it was tracked. The application no longer uses it, and its descriptor
        // number may already belong to another socket.
        if (!seen.IsClosed)
        {
            if (!watched.Sockets.TryGetValue(seen.Cookie, out socket))
            {
                socket = TryTrack(in seen, in reading, pid);
                _shown += socket is null ? 0 : 1;
            }
            else
            {
                _shown += socket.SeenInDump == watched.Dumps ? 0 : 1;
                var hasMoved = socket.See(in seen, watched.Dumps, _quiet);
                workloads.Settle(watched, socket, pid);
                if (hasMoved || Compares)
                {
                    Compare(socket);
                }
            }
        }
        if (socket is not null)
        {
            Note(socket);
        }
        else
        {
            var other = new Unselected(seen, reading, pid, workloads.Of(watched, in seen, pid));
            if (watched.LocalEnds.IsOpen(in seen, isWanted))
            {
                (_waiting ??= []).Add(other);
            }
            else
            {
                Report(in other, LocalEnds.IsByAddress(seen.Local, seen.Remote));
            }
        }
        return socket;
    }

    /// <summary>Notes a reported change of a tracked socket's state.</summary>
    public void TakeState(TrackedSocket socket, TcpState state)
    {
        socket.See(socket.Seen with { State = state }, watched.Dumps);
        Note(socket);
    }

    /// <summary>Notes that a tracked socket was reported to be gone.</summary>
    public void TakeEnd(TrackedSocket socket) => Ended.Add(socket);

    /// <summary>The tracked sockets that were reported to be gone.</summary>
    public List<TrackedSocket> Ended { get; } = [];

    /// <summary>Notes the socket that was just taken, if it has to be reported.</summary>
    /// <param name="socket">The socket.</param>
    /// <param name="isDecided">Whether it will be decided about, so that it may have to be.</param>
    public void Note(TrackedSocket socket, bool isDecided = false)
    {
        _areAnyUnselected |= socket.Standing.Rule is null;
        if (!IsComplete && (isDecided || socket.HasNews) && (News.Count == 0 || !ReferenceEquals(News[^1], socket)))
        {
            News.Add(socket);
        }
    }

    /// <summary>Ends the dump: now it is known which connections are local.</summary>
    /// <param name="drops">Drops a tracked socket, if that has to be; null drops none.</param>
    public void End(Func<TrackedSocket, bool>? drops = null)
    {
        var areUnsettled = false;
        if (IsComplete || _shown != watched.Sockets.Count || _areAnyUnselected || watched.LocalEnds.HasAny || watched.HadLocalEnds)
        {
            foreach (var socket in watched.Sockets)
            {
                if (drops is not null && drops(socket))
                {
                    _gone.Add(socket.Cookie);
                    continue;
                }
                var isNoted = socket.HasNews;
                FindWhetherLocal(socket);
                if (!isNoted)
                {
                    Note(socket);
                }
                areUnsettled |= socket.Standing.IsUnsettled;
            }
        }
        else
        {
            // All are there, and the others are as local as they were.
            foreach (var socket in News)
            {
                FindWhetherLocal(socket);
                areUnsettled |= socket.Standing.IsUnsettled;
            }
        }
        watched.HadLocalEnds = watched.LocalEnds.HasAny;
        watched.HasUnsettled = areUnsettled;
        watched.Examined = IsComplete ? watched.Sockets : News;
        foreach (ref readonly var other in CollectionsMarshal.AsSpan(_waiting))
        {
            var (seen, workload) = (other.Seen, other.Workload);
            Report(in other, watched.LocalEnds.IsLocal(seen.Local, seen.Remote, seen.State, workload, watched.Translate));
        }
        _waiting = null;
    }

    /// <summary>Ends the reports, which are clear: no connection is local unless its addresses show it.</summary>
    /// <param name="drop">Drops a tracked socket.</param>
    public void EndReports(Action<TrackedSocket> drop)
    {
        var areUnsettled = false;
        foreach (var socket in News)
        {
            FindWhetherLocal(socket);
            areUnsettled |= socket.Standing.IsUnsettled;
        }
        foreach (var socket in Ended)
        {
            drop(socket);
            _gone.Add(socket.Cookie);
        }
        watched.HasUnsettled |= areUnsettled;
        watched.Examined = News;
    }

    /// <summary>Reports the sockets that are gone, unless all others were reported.</summary>
    public void ReportGone()
    {
        foreach (var cookie in watched.ReportedEarly)
        {
            if (!watched.Sockets.ContainsKey(cookie))
            {
                _gone.Add(cookie);
            }
        }
        watched.ReportedEarly.Clear();
        if (!IsComplete)
        {
            _gone.ForEach(cookie => pass.Sink.Gone(watched.Inode, cookie));
        }
    }

    private void FindWhetherLocal(TrackedSocket socket)
    {
        var isLocal = watched.LocalEnds.IsLocal(socket.Local, socket.Remote, socket.Seen.State, socket.Workload, watched.Translate);
        if (isLocal != socket.IsLocal)
        {
            socket.IsLocal = isLocal;
            ChangeFallback(socket);
        }
    }

    private void Report(in Unselected other, bool isLocal) => pass.Sink.Socket(other.Seen.ToRecord(watched.Inode, other.Workload) with
    {
        Current = other.Reading?.Values,
        Own = other.Reading?.Own ?? OwnValues.None,
        UserTimeout = other.Reading?.UserTimeout ?? 0,
        Outcome = SocketOutcome.Unmanaged,
        Pid = other.Pid,
        IsLocal = isLocal,
    });

    private TrackedSocket? TryTrack(in SeenSocket seen, in SocketReading? reading, int pid)
    {
        var (local, remote) = (seen.Local, seen.Remote);
        var widest = watched.Widest(pass.Policy);
        var rule = seen.State == TcpState.Listen ? null : widest.Match(in local, in remote);
        var policy = rule is null || watched.Host is null ? widest : PolicyOf(workloads.Of(watched, seen.CgroupId, seen.Uid, pid));
        rule = rule is null || ReferenceEquals(policy, widest) ? rule : policy.Match(in local, in remote);
        SocketMemory? memory = inherited.Remove((watched.Inode, seen.Cookie), out var known) ? known : null;
        var isAgents = memory is not null || seen.IsSetAtOnce || (reading is { } read && inherited.MayHaveArrived(read.Values));
        if (rule is null && !isAgents && !pass.Scope.ReadAll)
        {
            return null;
        }
        var socket = new TrackedSocket(watched.Inode, in seen, watched.Dumps) { Watched = watched };
        workloads.Settle(watched, socket, pid);
        socket.Standing.Remember(memory);
        socket.Standing.Select(rule, policy);
        watched.Sockets.Add(socket);
        tracked?.Invoke(socket);
        return socket;
    }

    /// <summary>Matches a tracked socket again. An equal rule of a new policy changes nothing, unless the handling of existing values or
    /// the completeness of the policy has changed.</summary>
    private void Compare(TrackedSocket socket)
    {
        var (local, remote) = (socket.Local, socket.Remote);
        var policy = watched.Host is null ? pass.Policy : PolicyOf((socket.Workload, socket.IsWorkloadOpen));
        var rule = policy.Match(in local, in remote);
        rule = rule is { IsFallback: true } && socket.IsLocal ? null : rule;
        ref var standing = ref socket.Standing;
        if (_judgesAnew || !standing.IsSameBy(rule) || (standing.IsUndecided && policy.IsComplete))
        {
            standing.Unsettle();
        }
        standing.Select(rule, policy);
    }

    /// <summary>Matches a socket again that has turned out to be local, or not to be: the fallback does not select local connections.</summary>
    private void ChangeFallback(TrackedSocket socket)
    {
        if (watched.Widest(pass.Policy).Policy.Fallback.IsEmpty)
        {
            return;
        }
        Compare(socket);
        ref var standing = ref socket.Standing;
        if (standing is { Rule: null, Memory: null, IsUndecided: false } && !pass.Scope.ReadAll)
        {
            standing.Settle(SocketOutcome.Unmanaged);   // it was never set, so there is nothing to search for
        }
    }

    /// <summary>Returns the policy for a socket of a workload. If the workload is still open, the ledger checks later whether the policy
    /// applies: the process of the socket may be known then.</summary>
    private PolicySnapshot PolicyOf((string Name, bool IsOpen) workload) =>
        workload.IsOpen ? watched.Widest(pass.Policy) : watched.PolicyOf(workload.Name, pass);

    /// <summary>A socket that no rule selects.</summary>
    private readonly record struct Unselected(SeenSocket Seen, SocketReading? Reading, int Pid, string Workload);
}
