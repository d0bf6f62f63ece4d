using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Linux;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>sock_diag to see sockets, pidfd_getfd to reach them (Linux 5.6). Works on any cgroup version and inside a user namespace.</summary>
/// <remarks>
/// A namespace is dumped only when its connection counters moved, the policy changed, a socket waits for another try, or its audit is due;
/// values are re-read in rotation. Both audits come round in <see cref="AuditPeriod"/>.
/// </remarks>
internal sealed class PidfdDatapath : IDatapath
{
    /// <summary>Every namespace is dumped, and every tracked socket's values are read, at least this often.</summary>
    public static readonly TimeSpan AuditPeriod = TimeSpan.FromSeconds(50);

    /// <summary>Changes up to this many in one pass are not spread.</summary>
    private const int SpreadFrom = 256;
    private const int Slices = 16;
    private const int MaxBackoff = 12;

    private readonly TimeProvider _time;
    private readonly bool _restricted;
    private readonly StateFile? _state;
    private readonly Dictionary<(ulong Namespace, ulong Cookie), SocketMemory> _inherited;
    private readonly ProcessTable _processes = new();
    private readonly MountSurvey _mounts = new();
    private readonly NamespaceInventory _namespaces;
    private readonly OwnerSearch _owners;
    private readonly SocketApplier _applier;
    private readonly Queue<TrackedSocket> _audit = new();
    private readonly List<TrackedSocket> _known = [];
    private readonly Dictionary<ulong, TrackedSocket> _wanted = [];
    private readonly List<TrackedSocket> _bulk = [];
    private readonly List<TrackedSocket> _lost = [];
    private long _pass;
    private long _lastPassAt;
    private long _mountsReadAt;

    /// <param name="time">The clock of audits and spreads.</param>
    /// <param name="only">Paths of the only namespaces to look at; empty for all of the node.</param>
    /// <param name="inherited">What a predecessor knew; emptied as its sockets are met again.</param>
    /// <param name="state">Where changes are noted; null where none are made or kept.</param>
    public PidfdDatapath(
        TimeProvider time,
        IReadOnlyList<string> only,
        Dictionary<(ulong Namespace, ulong Cookie), SocketMemory> inherited,
        StateFile? state)
    {
        _time = time;
        _restricted = only.Count > 0;
        _state = state;
        _inherited = inherited;
        _namespaces = new NamespaceInventory(_processes, only);
        _owners = new OwnerSearch(_processes, _mounts);
        _applier = new SocketApplier(state);
        _lastPassAt = _mountsReadAt = time.GetTimestamp();
    }

    public string Name => "pidfd";

    public PassSummary Pass(PolicySnapshot policy, PassScope scope, ISocketSink sink)
    {
        _pass++;
        _applier.Read = 0;
        if (_time.GetElapsedTime(_mountsReadAt) > AuditPeriod)
        {
            _mounts.Refresh();
            _mountsReadAt = _time.GetTimestamp();
        }
        _processes.Scan();
        _namespaces.Update(gone =>
        {
            ForgetAll(gone);
            sink.NamespaceGone(gone.Inode);
        });
        int dumped = 0, sockets = 0, failures = _namespaces.Failures.Count;
        foreach (var watched in _namespaces.Watched)
        {
            if (scope.Stop.IsCancellationRequested)
            {
                break;
            }
            if (MustDump(watched, policy, scope, out var opens))
            {
                try
                {
                    sockets += PassNamespace(watched, opens, policy, scope, sink);
                    dumped++;
                }
                catch (LinuxException)
                {
                    failures++;
                    watched.ComparedWith = null;
                }
            }
        }
        ReadValues(policy, scope, sink);
        var waited = ApplyBulk(policy, scope, sink);
        _state?.Confirm();
        if (scope.Full && !scope.DryRun && !_restricted && failures == 0)
        {
            DropInherited();
        }
        _state?.CompactWhenWorthwhile(Remembered);
        _lastPassAt = _time.GetTimestamp();
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

    private bool MustDump(WatchedNamespace watched, PolicySnapshot policy, PassScope scope, out ulong opens)
    {
        // Read before the dump: a connection made between the two is seen by both, and only costs another look.
        opens = watched.Handle.Counters.ReadOpens();
        return scope.Full
            || scope.ReadAll
            || !ReferenceEquals(watched.ComparedWith, policy)
            || opens != watched.Opens
            || watched.NextTry <= _pass
            || _time.GetTimestamp() >= watched.AuditAt;
    }

    private int PassNamespace(WatchedNamespace watched, ulong opens, PolicySnapshot policy, PassScope scope, ISocketSink sink)
    {
        var compare = !ReferenceEquals(watched.ComparedWith, policy);
        var first = watched.Dumps == 0;
        watched.Dumps++;
        sink.BeginNamespace(watched.Inode);
        var visitor = new DumpVisitor(this, watched, policy, scope, sink, compare);
        // The idle clock decides the order of a bulk, which only a new namespace or policy brings; and it is part of every record.
        watched.Handle.Diag.Dump(scope.States, details: true, ref visitor);
        watched.ComparedWith = policy;
        watched.Opens = opens;
        // Namespaces found together are not audited together.
        var period = (long)(AuditPeriod.TotalSeconds * _time.TimestampFrequency);
        watched.AuditAt = _time.GetTimestamp() + (first ? (long)(period * (0.1 + (0.9 * (watched.Inode % 64) / 64))) : period);
        DropUnseen(watched);
        Settle(watched, policy, scope);
        foreach (var socket in watched.Sockets.Values)
        {
            Report(socket, sink);
        }
        sink.EndNamespace(watched.Inode);
        return visitor.Count;
    }

    /// <summary>Takes in one socket of a dump.</summary>
    private void See(WatchedNamespace watched, in DiagnosedSocket seen, PolicySnapshot policy, PassScope scope, ISocketSink sink, bool compare)
    {
        var (local, remote) = (seen.Local, seen.Remote);
        if (!watched.Sockets.TryGetValue(seen.Cookie, out var socket))
        {
            var rule = seen.State == TcpState.Listen ? null : policy.Match(in local, in remote);
            SocketMemory? memory = _inherited.Remove((watched.Inode, seen.Cookie), out var known) ? known : null;
            if (rule is null && memory is null && !scope.ReadAll)
            {
                sink.Socket(Unmanaged(watched.Inode, in seen, local, remote));
                return;
            }
            socket = new TrackedSocket
            {
                Namespace = watched.Inode,
                Cookie = seen.Cookie,
                Local = local,
                Remote = remote,
                Rule = rule,
                Memory = memory,
            };
            watched.Sockets.Add(seen.Cookie, socket);
            _audit.Enqueue(socket);
        }
        else if (compare || scope.Full)
        {
            var rule = policy.Match(in local, in remote);
            // An equal rule of a new policy changes nothing, unless what is done with existing values has changed.
            socket.Unsettled |= scope.Full || !SameEffect(socket.Rule, rule) || (watched.ComparedWith as PolicySnapshot)?.Existing != policy.Existing;
            socket.NextTry = socket.Unsettled ? 0 : socket.NextTry;
            socket.Rule = rule;
        }
        socket.SeenInDump = watched.Dumps;
        socket.State = seen.State;
        socket.Timer = seen.Timer;
        socket.TimerExpires = seen.TimerExpires;
        socket.Unanswered = seen.Timer is TcpTimer.Keepalive ? seen.TimerCount : 0;
        socket.Idle = seen.Idle;
        socket.Inode = seen.Inode;
        if (seen.Inode == 0 && socket.Pid != 0)
        {
            // Closed by the application and on its way out: its descriptor's number may already be another socket's.
            _processes.Find(socket.Pid)?.Forget(socket.Descriptor);
            socket.Pid = 0;
        }
        if (socket.Unsettled)
        {
            socket.CgroupId = seen.CgroupId;
            socket.IsMultipath = seen.IsMultipathSubflow;
        }
    }

    /// <summary>Brings the policy to bear on the sockets of a namespace that wait for it.</summary>
    private void Settle(WatchedNamespace watched, PolicySnapshot policy, PassScope scope)
    {
        _known.Clear();
        _wanted.Clear();
        var everywhere = scope.Full;
        foreach (var socket in watched.Sockets.Values)
        {
            if (socket.Unsettled && socket.NextTry <= _pass && CanBeReached(socket, scope))
            {
                if (socket.Pid != 0)
                {
                    _known.Add(socket);
                }
                else
                {
                    _wanted.Add(socket.Cookie, socket);
                    everywhere |= socket.Attempts == 1;
                }
            }
        }
        var spread = scope.SpreadOver > TimeSpan.Zero && CountBulk(_known, scope) + CountBulk(_wanted.Values, scope) + _bulk.Count > SpreadFrom;
        var handler = new Reaching(_applier, policy, scope, spread ? _bulk : null);
        _lost.Clear();
        _owners.Revisit(_known, _lost, ref handler);
        foreach (var socket in _lost)
        {
            _wanted.Add(socket.Cookie, socket);
        }
        if (_wanted.Count > 0)
        {
            _owners.Search(watched.Inode, _wanted, everywhere, _pass, ref handler);
            foreach (var socket in _wanted.Values)
            {
                socket.Outcome = SocketOutcome.Unreachable;
                socket.Reason = _owners.DeniedBy != 0 ? Errno.Name(_owners.DeniedBy) : FailureReasons.NoOwner;
            }
        }
        watched.NextTry = long.MaxValue;
        foreach (var socket in watched.Sockets.Values)
        {
            if (socket.Unsettled)
            {
                PutOff(socket);
                watched.NextTry = Math.Min(watched.NextTry, socket.NextTry);
            }
        }
    }

    /// <summary>When an unsettled socket is tried again: at the next pass where only the far end or the application is waited for, else
    /// less and less often.</summary>
    private void PutOff(TrackedSocket socket)
    {
        if (socket.NextTry <= _pass)
        {
            var soon = socket.Outcome is SocketOutcome.Deferred || (socket.Outcome is SocketOutcome.Pending && socket.Attempts < 6);
            socket.NextTry = _pass + (soon ? 1 : Math.Min(MaxBackoff, 1 << Math.Min(socket.Attempts, 10)));
            socket.Attempts++;
        }
    }

    private static bool CanBeReached(TrackedSocket socket, PassScope scope)
    {
        if (socket.IsMultipath)
        {
            socket.Outcome = SocketOutcome.Unreachable;
            socket.Reason = FailureReasons.Multipath;
            return false;
        }
        if (socket.State is TcpState.Established or TcpState.CloseWait or TcpState.FinWait1 or TcpState.FinWait2
            || (scope.ReadAll && socket.State == TcpState.Listen))
        {
            if (socket.Inode != 0)
            {
                return true;
            }
            socket.Reason = FailureReasons.NotAccepted;
        }
        // Connecting, waiting to be accepted, or closed by the application and on its way out.
        socket.Outcome = socket.Rule is null ? SocketOutcome.Unmanaged : SocketOutcome.Pending;
        return false;
    }

    /// <summary>Sockets idle for longer than an interval would all probe together; ones just made are no bulk, however many.</summary>
    private static int CountBulk(IEnumerable<TrackedSocket> sockets, PassScope scope)
    {
        var count = 0;
        foreach (var socket in sockets)
        {
            count += socket.Idle >= scope.SpreadOver.TotalMilliseconds ? 1 : 0;
        }
        return count;
    }

    /// <summary>Applies what was put aside for it in slices, longest idle first.</summary>
    private TimeSpan ApplyBulk(PolicySnapshot policy, PassScope scope, ISocketSink sink)
    {
        var waited = TimeSpan.Zero;
        if (_bulk.Count == 0)
        {
            return waited;
        }
        _bulk.Sort(static (a, b) => (b.Idle ?? 0).CompareTo(a.Idle ?? 0));
        var size = (_bulk.Count + Slices - 1) / Slices;
        var handler = new Reaching(_applier, policy, scope, null);
        for (var from = 0; from < _bulk.Count && !scope.Stop.IsCancellationRequested; from += size)
        {
            if (from > 0)
            {
                var begun = _time.GetTimestamp();
                scope.Stop.WaitHandle.WaitOne(scope.SpreadOver / Slices);
                waited += _time.GetElapsedTime(begun);
            }
            _known.Clear();
            _known.AddRange(_bulk.GetRange(from, Math.Min(size, _bulk.Count - from)));
            _lost.Clear();
            _owners.Revisit(_known, _lost, ref handler);
            foreach (var socket in _known.Except(_lost))
            {
                Report(socket, sink);
            }
        }
        _bulk.Clear();
        return waited;
    }

    /// <summary>Re-reads the values of as many sockets as keep every one of them read once in <see cref="AuditPeriod"/>.</summary>
    private void ReadValues(PolicySnapshot policy, PassScope scope, ISocketSink sink)
    {
        var share = scope.Full ? 0 : Math.Min(1, _time.GetElapsedTime(_lastPassAt) / AuditPeriod);
        _known.Clear();
        for (var n = (int)Math.Ceiling(_audit.Count * share); n > 0 && _audit.TryDequeue(out var socket); n--)
        {
            if (socket.Gone)
            {
                continue;
            }
            _audit.Enqueue(socket);
            if (!socket.Unsettled && socket.Pid != 0)
            {
                _known.Add(socket);
            }
        }
        if (_known.Count == 0)
        {
            return;
        }
        var before = _known.ToDictionary(s => s, s => s.Outcome);
        var handler = new Reaching(_applier, policy, scope, null);
        _lost.Clear();
        _owners.Revisit(_known, _lost, ref handler);
        foreach (var socket in _lost)
        {
            // Closed, or known by another descriptor now: the next dump tells.
            socket.Unsettled = true;
            socket.NextTry = _pass + 1;
            Watched(socket)?.NextTry = _pass + 1;
        }
        foreach (var (socket, outcome) in before)
        {
            if (socket.Outcome != outcome || socket.Replaced is not null)
            {
                Report(socket, sink);
            }
        }
    }

    private WatchedNamespace? Watched(TrackedSocket socket) => _namespaces.Watched.FirstOrDefault(w => w.Inode == socket.Namespace);

    private static void Report(TrackedSocket socket, ISocketSink sink)
    {
        sink.Socket(socket.ToRecord());
        socket.Replaced = null;
        if (socket.Outcome == SocketOutcome.Restored)
        {
            socket.Outcome = SocketOutcome.Unmanaged;
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

    private void ForgetAll(WatchedNamespace watched)
    {
        foreach (var socket in watched.Sockets.Values)
        {
            Forget(socket);
        }
        watched.Sockets.Clear();
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

    private static bool SameEffect(Keepalive.Config.Compilation.CompiledRule? a, Keepalive.Config.Compilation.CompiledRule? b) =>
        ReferenceEquals(a, b) || (a is not null && b is not null && a.Settings == b.Settings && a.Existing == b.Existing);

    private static SocketRecord Unmanaged(ulong inode, in DiagnosedSocket seen, SocketEndpoint local, SocketEndpoint remote) => new()
    {
        Namespace = inode,
        Cookie = seen.Cookie,
        Local = local,
        Remote = remote,
        State = seen.State,
        Timer = seen.Timer,
        TimerExpires = seen.TimerExpires,
        Unanswered = seen.Timer is TcpTimer.Keepalive ? seen.TimerCount : 0,
        Idle = seen.Idle,
        Outcome = SocketOutcome.Unmanaged,
    };

    private ref struct DumpVisitor(
        PidfdDatapath datapath, WatchedNamespace watched, PolicySnapshot policy, PassScope scope, ISocketSink sink, bool compare)
        : ISockDiagVisitor
    {
        public int Count { get; private set; }

        public void Visit(in DiagnosedSocket socket)
        {
            Count++;
            datapath.See(watched, in socket, policy, scope, sink, compare);
        }
    }

    /// <summary>Applies at once, or, where a bulk is collected, only notes where the socket is.</summary>
    private readonly struct Reaching(SocketApplier applier, PolicySnapshot policy, PassScope scope, List<TrackedSocket>? bulk) : IReachedSocket
    {
        public void Reached(in DuplicatedSocket descriptor, TrackedSocket socket)
        {
            if (bulk is not null && socket.Idle >= scope.SpreadOver.TotalMilliseconds)
            {
                bulk.Add(socket);
            }
            else
            {
                applier.Apply(in descriptor, socket, policy, scope);
            }
        }

        public void EndProcess() => applier.Confirm();
    }
}
