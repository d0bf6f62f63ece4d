using System.Diagnostics;
using Keepalive.Agent.Apply.Tracking;
using Keepalive.Linux.Bpf;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>Decides whether a namespace must be read, from the connections that the kernel's programs have counted and reported there since the
/// last pass.</summary>
/// <remarks>
/// <code>
///   connection comes: count + 1; reported when it was set: count − 1        reading ──► count
///   connection goes:  reported, or count + 1                                pass: same count? what was reported is all that has changed
///   application writes a value of a connection that was set: count + 1
/// </code>
/// A namespace is also read if a report leaves something open: connections that are half closed, that may be local, or that were not known.
/// </remarks>
/// <param name="kernel">The programs.</param>
/// <param name="link">The attachment of the program that counts.</param>
/// <param name="arrivals">The reports.</param>
internal sealed class ReportedChanges(KernelPrograms kernel, BpfLink link, Arrivals arrivals) : IDisposable
{
    private readonly Dictionary<ulong, Followed> _followed = [];
    private readonly List<Followed> _reported = [];
    private readonly Dictionary<ulong, int> _lastChange = [];
    private readonly HashSet<ulong> _arrived = [];
    private ulong _missed = kernel.MissedStates;
    private bool _hasMissed;

    /// <summary>Begins a pass, after the reports were taken out of the ring.</summary>
    public void BeginPass()
    {
        foreach (var one in _reported)
        {
            // The last pass did not get to it.
            one.MustBeRead |= one.HasReports;
            one.Clear();
        }
        _reported.Clear();
        var missed = kernel.MissedStates;
        (_hasMissed, _missed) = (missed != _missed, missed);
        _arrived.Clear();
        for (var i = 0; i < arrivals.Arrived.Length; i++)
        {
            Of(arrivals.Arrived[i].tuple.netns)?.Arrivals.Add(i);
            _arrived.Add(arrivals.Arrived[i].tuple.cookie);
        }
        Spare.Trim(_arrived);
        Spare.Clear(_lastChange);
        for (var i = 0; i < arrivals.Changes.Length; i++)
        {
            ref readonly var change = ref arrivals.Changes[i];
            Of(change.netns)?.Changes.Add(i);
            _lastChange[change.cookie] = i;
        }
    }

    /// <summary>Has the connections of new namespaces counted from now on. The first reading follows.</summary>
    /// <exception cref="Linux.LinuxException">There is no memory.</exception>
    public void Follow(IReadOnlyCollection<WatchedNamespace> namespaces)
    {
        foreach (var watched in namespaces)
        {
            if (!_followed.ContainsKey(watched.Inode))
            {
                kernel.Activities.Update((uint)watched.Inode, default(BpfAbi.ka_activity));
                _followed.Add(watched.Inode, new Followed { MustBeRead = true });
            }
        }
    }

    /// <summary>Ends the count of a namespace. Call it before the namespace is released.</summary>
    public void Forget(ulong inode)
    {
        if (_followed.Remove(inode, out var one))
        {
            one.Clear();
            kernel.Activities.Remove((uint)inode);
        }
    }

    /// <summary>Notes that a namespace is about to be read: what happens from now on is not in the reading.</summary>
    public void BeginReading(WatchedNamespace watched)
    {
        if (_followed.TryGetValue(watched.Inode, out var one))
        {
            one.Clear();
            one.ReadAt = (ulong)(Stopwatch.GetTimestamp() * (1_000_000_000.0 / Stopwatch.Frequency));
            one.MustBeRead = !TryRead(watched.Inode, out one.AtReading);
        }
    }

    /// <summary>Notes how many sockets a reading has shown that are connecting.</summary>
    public void EndReading(WatchedNamespace watched, int connecting)
    {
        if (_followed.TryGetValue(watched.Inode, out var one))
        {
            one.Connecting = connecting;
        }
    }

    /// <summary>Whether something has happened in a namespace that the reports do not show; null if that is unknown.</summary>
    public bool? HasUnreported(WatchedNamespace watched, PassContext pass)
    {
        if (_hasMissed || !_followed.TryGetValue(watched.Inode, out var one) || one.MustBeRead || !CanTake(watched, pass) || !TryRead(watched.Inode, out var now))
        {
            return null;
        }
        var connecting = one.Connecting + (long)(now.begun - now.ended) - (long)(one.AtReading.begun - one.AtReading.ended);
        if (now.untold != one.AtReading.untold || connecting != one.Connecting || (connecting != 0 && now.begun != one.AtReading.begun))
        {
            return true;
        }
        return one.HasReports && !(one.AreClear = AreClear(watched, pass, one));
    }

    /// <summary>Whether there are reports of a namespace, and they show all that has happened there.</summary>
    public bool HasReports(WatchedNamespace watched) => _followed.TryGetValue(watched.Inode, out var one) && one is { HasReports: true, AreClear: true };

    /// <summary>Passes the reports of a namespace on: connections that were set and are still there, those that the other end has closed, and
    /// those that are gone.</summary>
    public void Take(WatchedNamespace watched, SocketVisitor visitor, DumpIntake intake)
    {
        var one = _followed[watched.Inode];
        foreach (var i in one.Arrivals)
        {
            ref readonly var arrival = ref arrivals.Arrived[i];
            if (!watched.Sockets.ContainsKey(arrival.tuple.cookie) && !_lastChange.ContainsKey(arrival.tuple.cookie))
            {
                visitor.Visit(ToSocket(in arrival));
            }
        }
        foreach (var i in one.Changes)
        {
            ref readonly var change = ref arrivals.Changes[i];
            if (_lastChange[change.cookie] != i || change.time < one.ReadAt || !watched.Sockets.TryGetValue(change.cookie, out var socket))
            {
                continue;
            }
            if (change.state == (byte)TcpState.Close)
            {
                intake.TakeEnd(socket);
            }
            else
            {
                intake.TakeState(socket, (TcpState)change.state);
            }
        }
        one.Clear();
    }

    public void Dispose() => link.Dispose();

    private static bool CanTake(WatchedNamespace watched, PassContext pass) =>
        pass.Sink.TakesChanges && ReferenceEquals(watched.ReportedTo, pass.Sink)
        && pass.Scope is { ReadAll: false, DryRun: false, Only: false, Last: false, Owners: false };

    /// <summary>Whether the reports of a namespace leave nothing open.</summary>
    private bool AreClear(WatchedNamespace watched, PassContext pass, Followed one)
    {
        if (watched.HadLocalEnds || watched.LocalEnds.HasAny)
        {
            return false;
        }
        foreach (var i in one.Arrivals)
        {
            ref readonly var arrival = ref arrivals.Arrived[i];
            var (local, remote) = (arrival.tuple.Local, arrival.tuple.Remote);
            var isChanged = _lastChange.TryGetValue(arrival.tuple.cookie, out var last);
            // A socket may be disconnected and connected again. A change that came later is handled below.
            if ((isChanged && last < arrivals.ChangesBefore[i]) || !watched.LocalEnds.AreDecided(in local, in remote)
                || pass.Policy.Match(in local, in remote) is null)
            {
                return false;
            }
        }
        foreach (var i in one.Changes)
        {
            ref readonly var change = ref arrivals.Changes[i];
            if (_lastChange[change.cookie] != i || change.time < one.ReadAt)
            {
                continue;
            }
            var state = (TcpState)change.state;
            // If it is neither known nor new, no rule selects it, or it had closed before.
            var isClear = watched.Sockets.ContainsKey(change.cookie) ? state is TcpState.Close or TcpState.CloseWait
                : _arrived.Contains(change.cookie) ? state == TcpState.Close
                : change.stays != 0;
            if (!isClear)
            {
                return false;
            }
        }
        return true;
    }

    private bool TryRead(ulong inode, out BpfAbi.ka_activity activity)
    {
        Span<BpfAbi.ka_activity> read = stackalloc BpfAbi.ka_activity[1];
        var isKnown = kernel.Activities.TryRead((uint)inode, read);
        activity = read[0];
        return isKnown;
    }

    private Followed? Of(ulong inode)
    {
        if (!_followed.TryGetValue(inode, out var one))
        {
            return null;
        }
        if (!one.HasReports)
        {
            _reported.Add(one);
        }
        return one;
    }

    /// <summary>The state of a socket that was set when it was established, and that nobody has written to since.</summary>
    private static BpfAbi.ka_socket ToSocket(in BpfAbi.ka_arrival arrival) => new()
    {
        tuple = arrival.tuple,
        state = (byte)TcpState.Established,
        timer = (byte)Linux.Netlink.TcpTimer.Keepalive,
        kind = BpfAbi.KA_SET_AT_ONCE,
        expires = arrival.set.time * 1000,
        values = arrival.set,
        found = arrival.found,
        set = arrival.set,
        unknown = BpfAbi.KA_UNKNOWN_IDLE,
        maker = arrival.maker,
    };

    /// <summary>The counts of a namespace, and what was reported of it since the last pass.</summary>
    private sealed class Followed
    {
        public BpfAbi.ka_activity AtReading;

        /// <summary>When the last reading began, in nanoseconds (CLOCK_MONOTONIC).</summary>
        public ulong ReadAt { get; set; }

        /// <summary>Sockets that were connecting then.</summary>
        public int Connecting { get; set; }

        /// <summary>Whether only a reading shows what has happened.</summary>
        public bool MustBeRead { get; set; }

        /// <summary>Whether the reports show all that has happened.</summary>
        public bool AreClear { get; set; }

        /// <summary>Sockets that were set, as indexes.</summary>
        public List<int> Arrivals { get; } = [];

        /// <summary>Sockets that have closed, as indexes.</summary>
        public List<int> Changes { get; } = [];

        public bool HasReports => Arrivals.Count > 0 || Changes.Count > 0;

        public void Clear()
        {
            Spare.Clear(Arrivals);
            Spare.Clear(Changes);
            AreClear = false;
        }
    }
}
