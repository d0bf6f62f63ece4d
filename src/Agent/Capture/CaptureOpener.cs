using System.Globalization;
using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Workloads;
using Keepalive.Linux;
using Keepalive.Linux.Capture;
using Keepalive.Linux.Namespaces;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Capture;

/// <summary>Decides on which interfaces of which namespaces to capture, and opens and closes them, on a thread of its own: with a thousand of them either takes
/// seconds.</summary>
/// <remarks>
/// Which interfaces connections use is looked up by their addresses, in the namespace's routes, never listed: how many there are, and what they are called, is
/// up to those who live there. What is more than a share is not captured on, and counted.
/// </remarks>
internal sealed class CaptureOpener : IDisposable
{
    /// <summary>Interfaces of one namespace: connections of a host leave by two or three.</summary>
    public const int MostInNamespace = 32;

    /// <summary>Interfaces of all namespaces of one that is <see cref="Accountable"/>.</summary>
    public const int MostOfOne = 64;

    /// <summary>Between two looks at whether it is to stop.</summary>
    private const int WaitMilliseconds = 100;

    /// <summary>Addresses of one namespace looked up at a time, some µs each.</summary>
    private const int MostLookups = 4096;

    /// <summary>Interfaces and routes change with nothing else to tell of it: each namespace is looked at anew once in this time.</summary>
    private static readonly TimeSpan s_lookAgain = TimeSpan.FromSeconds(60);

    private readonly ICaptureListener _listener;
    private readonly Action<RingCapture, int> _opened;
    private readonly Func<RingCapture, WaitHandle> _detach;
    private readonly Action<string> _failed;
    private readonly Dictionary<ulong, Kept> _kept = [];
    private readonly List<(string? Account, RingCapture Capture, WaitHandle Detached)> _closing = [];
    /// <summary>Each interface takes a descriptor and 128 KiB.</summary>
    private readonly AccountShares _shares;
    private readonly PassBudget _budget = new(TimeProvider.System);
    private readonly Lock _lock = new();
    private readonly AutoResetEvent _wake = new(false);
    private readonly Thread _thread;
    private (Order Order, ManualResetEventSlim Done)? _next;
    private volatile bool _stopping;
    private volatile string? _failure;
    private SocketFilter? _filter;
    private string _filterText = "";
    private Dictionary<ulong, int>? _processes;

    /// <param name="listener">Told which addresses are a namespace's own.</param>
    /// <param name="opened">Takes an interface, and what its packets are to be marked with.</param>
    /// <param name="detach">Takes one back; what it returns is set when it is no longer used.</param>
    /// <param name="failed">Told what keeps it from capturing in a namespace, once for each.</param>
    /// <param name="mostInterfaces">On how many interfaces to capture at a time, in all.</param>
    public CaptureOpener(
        ICaptureListener listener, Action<RingCapture, int> opened, Func<RingCapture, WaitHandle> detach, Action<string> failed, int mostInterfaces)
    {
        _shares = new AccountShares(mostInterfaces, MostOfOne, nodeGives: true);
        (_listener, _opened, _detach, _failed) = (listener, opened, detach, failed);
        _thread = new Thread(Run, maxStackSize: 256 * 1024) { IsBackground = true, Name = "capture-open" };
        _thread.Start();
    }

    /// <summary>What keeps it from capturing somewhere, null where nothing does.</summary>
    public string? Failure => _failure;

    /// <summary>Takes in what is wanted now; what was wanted before and has not been begun with is forgotten.</summary>
    /// <returns>Set once it is done, or overtaken.</returns>
    public ManualResetEventSlim Wants(Order order)
    {
        var done = new ManualResetEventSlim();
        lock (_lock)
        {
            _next?.Done.Set();
            _next = (order, done);
        }
        _wake.Set();
        return done;
    }

    public void Dispose()
    {
        _stopping = true;
        _wake.Set();
        _thread.Join();
        _wake.Dispose();
        // What is still to be closed is closed with the process: the other thread may still use it.
    }

    private void Run()
    {
        while (!_stopping)
        {
            _wake.WaitOne();
            (Order Order, ManualResetEventSlim Done)? next;
            lock (_lock)
            {
                (next, _next) = (_next, null);
            }
            if (next is { } now)
            {
                Follow(now.Order);
                now.Done.Set();
            }
        }
    }

    private void Follow(Order order)
    {
        if (order.Filter != _filterText && TryCompile(order.Filter) is { } filter)
        {
            (_filter, _filterText) = (filter, order.Filter);
            foreach (var kept in _kept.Values)
            {
                Refilter(kept, filter);
            }
        }
        var wanted = order.Demands.Select(demand => demand.Inode).ToHashSet();
        foreach (var (inode, kept) in _kept)
        {
            if (!wanted.Contains(inode))
            {
                _kept.Remove(inode);
                foreach (var capture in kept.Captures.Values)
                {
                    Close(kept, capture);
                }
            }
        }
        _processes = null;
        _budget.BeginPass();
        foreach (var (demand, kept) in InTurn(order.Demands))
        {
            if (_stopping || _filter is null)
            {
                break;
            }
            Follow(demand, kept, order.Doubtful.Contains(demand.Inode));
        }
        _budget.Stop();
        CloseDetached();
        Report();
    }

    private void Follow(CaptureDemand demand, Kept kept, bool doubt)
    {
        _budget.Charge(kept.Account);
        DropGone(kept);
        if (!doubt && kept.Version == demand.Version && Environment.TickCount64 < kept.LookAt)
        {
            return;
        }
        if (kept.Pid == 0 || ProcFs.TryGetNetworkNamespace(kept.Pid, out var inode) != 0 || inode != demand.Inode)
        {
            kept.Pid = FindProcess(demand);
            if (kept.Captures.Count == 0)
            {
                kept.Account = kept.Pid == 0 ? null : Accountable.Of(kept.Pid);
            }
        }
        _budget.Charge(kept.Account);
        if (kept.Account is not null && (_budget.IsSpent || _closing.Exists(one => one.Account == kept.Account)))
        {
            return;   // it is looked at after the next pass
        }
        Look(demand, kept, doubt);
        kept.Version = demand.Version;
    }

    /// <summary>Whoever takes much time comes last: there may not be enough of it.</summary>
    private IEnumerable<(CaptureDemand Demand, Kept Kept)> InTurn(IReadOnlyList<CaptureDemand> demands)
    {
        var all = new List<(CaptureDemand Demand, Kept Kept)>(demands.Count);
        foreach (var demand in demands)
        {
            if (!_kept.TryGetValue(demand.Inode, out var kept))
            {
                _kept.Add(demand.Inode, kept = new Kept());
            }
            all.Add((demand, kept));
        }
        return all.OrderBy(one => _budget.Cost(one.Kept.Account)).ThenByDescending(one => one.Demand.Version - one.Kept.Version);
    }

    /// <summary>Enters the namespace to see which interfaces its connections use, and opens those that are not yet.</summary>
    private void Look(CaptureDemand demand, Kept kept, bool doubt)
    {
        var time = Environment.TickCount64;
        var anew = doubt || time >= kept.LookAt;
        if (anew)
        {
            kept.Known.Clear();
            kept.OwnRemotes.Clear();
            kept.LookAt = time + (long)s_lookAgain.TotalMilliseconds;
        }
        else if (kept.Captures.Count > 0 && demand.Locals.IsSubsetOf(kept.Known) && demand.Remotes.IsSubsetOf(kept.Known))
        {
            return;
        }
        if (kept.Pid == 0)
        {
            return;
        }
        try
        {
            kept.Failure = null;
            NetworkNamespace.Run(ProcFs.NetworkNamespacePath(kept.Pid), () =>
            {
                if (ProcFs.Inode("/proc/thread-self/ns/net") == demand.Inode)
                {
                    Open(demand, kept, anew);
                }
                return true;
            });
        }
        catch (LinuxException e) when (e.Errno is Errno.ENOENT or Errno.ESRCH)
        {
            kept.Pid = 0;   // its process has just gone; another may live there
        }
        catch (Exception e) when (e is IOException or OutOfMemoryException)
        {
            Fail(kept, e.Message);
        }
    }

    private void Open(CaptureDemand demand, Kept kept, bool anew)
    {
        var used = new HashSet<int>();
        using (var routes = RouteLookup.Open())
        {
            var left = MostLookups;
            foreach (var address in demand.Locals)
            {
                if (kept.Known.Add(address) && left-- > 0)
                {
                    routes.Find(address, used);
                }
            }
            foreach (var address in demand.Remotes)
            {
                if (kept.Known.Add(address) && left-- > 0 && routes.Find(address, used))
                {
                    used.Add(RouteLookup.Loopback);
                    kept.OwnRemotes.Add(address);
                }
            }
        }
        kept.OwnRemotes.IntersectWith(demand.Remotes);
        _listener.SetLocalAddresses(demand.Inode, [.. demand.Locals, .. kept.OwnRemotes]);
        foreach (var index in anew ? kept.Captures.Keys.Except(used).ToList() : [])
        {
            kept.Captures.Remove(index, out var unused);
            Close(kept, unused!);
        }
        var refused = 0;
        foreach (var index in used.Where(index => !kept.Captures.ContainsKey(index)).Order())
        {
            if (kept.Captures.Count >= MostInNamespace || !MakeRoom(kept.Account))
            {
                refused++;
                continue;
            }
            try
            {
                var capture = RingCapture.Open(index, _filter!);
                kept.Captures.Add(index, capture);
                _shares.Take(kept.Account);
                _opened(capture, demand.Scope);
            }
            catch (LinuxException e) when (e.Errno is not Errno.ENODEV)   // it has just gone
            {
                Fail(kept, e.Message);
            }
        }
        if (refused > 0)
        {
            Fail(kept, string.Create(CultureInfo.InvariantCulture,
                $"{kept.Account ?? "the node"}: interfaces skipped: {refused}; at most {MostInNamespace} of a network namespace are captured on, {MostOfOne} of a pod, unit or user, and {_shares.MostInAll} in all"));
        }
    }

    private void DropGone(Kept kept)
    {
        foreach (var (index, capture) in kept.Captures)
        {
            if (capture.IsGone)
            {
                kept.Captures.Remove(index);
                Close(kept, capture);
                kept.LookAt = 0;
            }
        }
    }

    private void Refilter(Kept kept, SocketFilter filter)
    {
        foreach (var (index, capture) in kept.Captures)
        {
            try
            {
                capture.SetFilter(filter);
            }
            catch (LinuxException e)
            {
                kept.Captures.Remove(index);
                Close(kept, capture);
                Fail(kept, e.Message);
            }
        }
    }

    private SocketFilter? TryCompile(string filter)
    {
        try
        {
            return SocketFilter.Compile(filter);
        }
        catch (PcapException e)
        {
            _failed(e.Message);
            _failure = e.Message;
            return null;
        }
    }

    /// <summary>Whether one more may be opened for somebody. Where there are as many as may be, whoever has the most gives one up.</summary>
    private bool MakeRoom(string? account)
    {
        if (!_shares.Allows(account, out var from))
        {
            return false;
        }
        if (from is { } giver && _kept.Values.Where(kept => Accountable.Key(kept.Account) == giver).MaxBy(kept => kept.Captures.Count) is { } most)
        {
            most.Captures.Remove(most.Captures.Keys.Last(), out var capture);
            Close(most, capture!);
        }
        return true;
    }

    private void Close(Kept kept, RingCapture capture)
    {
        _shares.GiveBack(kept.Account);
        _closing.Add((kept.Account, capture, _detach(capture)));
    }

    /// <summary>Closes what nobody uses any more. That takes some milliseconds each, as the kernel waits for all processors to have seen it: whoever has
    /// much of it gets nothing new until it is done.</summary>
    private void CloseDetached()
    {
        // They are let go of in the order of the list.
        while (!_stopping && _closing.Count > 0 && !_closing[^1].Detached.WaitOne(WaitMilliseconds))
        {
        }
        for (var i = 0; i < _closing.Count && !_stopping;)
        {
            var (account, capture, detached) = _closing[i];
            _budget.Charge(account);
            if (account is not null && _budget.IsSpent)
            {
                i++;
                continue;
            }
            _closing.RemoveAt(i);
            capture.Dispose();
            detached.Dispose();
        }
        _budget.Stop();
    }

    private void Fail(Kept kept, string reason)
    {
        kept.Failure = reason;
        if (!kept.HasFailed)
        {
            kept.HasFailed = true;
            _failed(reason);
        }
    }

    /// <summary>One of them: what keeps the node itself from capturing before what a tenant may have brought about.</summary>
    private void Report() => _failure = _kept.Values.Where(kept => kept.Failure is not null).MinBy(kept => kept.Account is null ? 0 : 1)?.Failure;

    private int FindProcess(CaptureDemand demand)
    {
        // A socket's process need not live in the socket's namespace.
        foreach (var pid in demand.Processes)
        {
            if (ProcFs.TryGetNetworkNamespace(pid, out var inode) == 0 && inode == demand.Inode)
            {
                return pid;
            }
        }
        return (_processes ??= ListProcesses()).GetValueOrDefault(demand.Inode);
    }

    private static Dictionary<ulong, int> ListProcesses()
    {
        var found = new Dictionary<ulong, int>();
        var all = new List<int>();
        ProcFs.ListProcesses(all);
        foreach (var pid in all)
        {
            if (ProcFs.TryGetNetworkNamespace(pid, out var inode) == 0)
            {
                found.TryAdd(inode, pid);
            }
        }
        return found;
    }

    /// <summary>What is wanted after a pass.</summary>
    /// <param name="Demands">Where.</param>
    /// <param name="Filter">What.</param>
    /// <param name="Doubtful">Namespaces with connections of which nothing is captured: they may use another interface now.</param>
    internal sealed record Order(IReadOnlyList<CaptureDemand> Demands, string Filter, IReadOnlySet<ulong> Doubtful);

    /// <summary>What is captured in one namespace.</summary>
    private sealed class Kept
    {
        public Dictionary<int, RingCapture> Captures { get; } = [];

        /// <summary>Addresses whose interfaces have been looked up.</summary>
        public HashSet<UInt128> Known { get; } = [];

        /// <summary>Those of the other ends that are the namespace's own.</summary>
        public HashSet<UInt128> OwnRemotes { get; } = [];

        /// <summary>A process that lives there; 0 where none is known.</summary>
        public int Pid { get; set; }

        /// <summary>Who has to answer for it, as <see cref="Accountable"/> names it; null is the node itself.</summary>
        public string? Account { get; set; }

        public long Version { get; set; } = -1;

        public long LookAt { get; set; }

        public bool HasFailed { get; set; }

        /// <summary>What kept it from capturing at the last look.</summary>
        public string? Failure { get; set; }
    }
}
