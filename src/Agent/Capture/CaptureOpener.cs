using System.Globalization;
using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Workloads;
using Keepalive.Linux;
using Keepalive.Linux.Capture;
using Keepalive.Linux.Namespaces;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Capture;

/// <summary>Decides on which interfaces of which namespaces to capture, and opens and closes them. It has its own thread, because opening
/// or closing a thousand interfaces takes seconds.</summary>
/// <remarks>
/// It finds the interfaces of connections by their addresses, in the routes of the namespace. It never lists interfaces, because the users
/// of the namespace decide how many there are and what their names are. Interfaces above a share are skipped and counted.
/// </remarks>
internal sealed class CaptureOpener : IDisposable
{
    /// <summary>The maximum number of interfaces in one namespace. The connections of a host normally use two or three.</summary>
    public const int MaxInNamespace = 32;

    /// <summary>The maximum number of interfaces in all namespaces of one <see cref="Accountable"/>.</summary>
    public const int MaxOfOne = 64;

    /// <summary>The time between two checks for a stop, in milliseconds.</summary>
    private const int WaitMilliseconds = 100;

    /// <summary>The maximum number of addresses of one namespace to look up at a time. Each lookup takes some µs.</summary>
    private const int MaxLookups = 4096;

    /// <summary>The time after which a namespace is read again, because interfaces and routes change without notice.</summary>
    private static readonly TimeSpan s_lookAgain = TimeSpan.FromSeconds(60);

    private readonly ICaptureListener _listener;
    private readonly Action<RingCapture, int> _opened;
    private readonly Func<RingCapture, WaitHandle> _detach;
    private readonly Action<string> _failed;
    private readonly Dictionary<ulong, Kept> _kept = [];
    private readonly List<(string? Account, RingCapture Capture, WaitHandle Detached)> _closing = [];
    /// <summary>The shares of interfaces. Each interface takes a descriptor and 128 KiB.</summary>
    private readonly AccountShares _shares;
    private readonly PassBudget _budget = new(TimeProvider.System);
    private readonly NamespaceProcesses _processes = new();
    private readonly Lock _lock = new();
    private readonly AutoResetEvent _wake = new(false);
    private readonly Thread _thread;
    private (Order Order, ManualResetEventSlim Done)? _next;
    private volatile bool _stopping;
    private volatile string? _failure;
    private SocketFilter? _filter;
    private string _filterText = "";

    /// <param name="listener">Receives the own addresses of each namespace.</param>
    /// <param name="opened">Receives an opened interface, and the mark of its packets.</param>
    /// <param name="detach">Receives an interface to close. Returns a handle that is set when the interface is no longer used.</param>
    /// <param name="failed">Receives the reason why capturing in a namespace fails, once for each namespace.</param>
    /// <param name="maxInterfaces">The maximum number of interfaces to capture on at a time, in all.</param>
    public CaptureOpener(
        ICaptureListener listener, Action<RingCapture, int> opened, Func<RingCapture, WaitHandle> detach, Action<string> failed, int maxInterfaces)
    {
        _shares = new AccountShares(maxInterfaces, MaxOfOne, nodeGives: true);
        (_listener, _opened, _detach, _failed) = (listener, opened, detach, failed);
        _thread = new Thread(Run, maxStackSize: 256 * 1024) { IsBackground = true, Name = "capture-open" };
        _thread.Start();
    }

    /// <summary>The reason why it cannot capture somewhere; null if it captures everywhere.</summary>
    public string? Failure => _failure;

    /// <summary>Queues a new order. It replaces an earlier order that was not begun.</summary>
    /// <returns>An event that is set once the order is done or replaced.</returns>
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
        // Detached interfaces are closed at the process's end, because the other thread may still use them.
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
        _processes.Reset();
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
        if (kept.Pid == 0 || !NamespaceProcesses.IsIn(kept.Pid, demand.Inode))
        {
            kept.Pid = _processes.Find(demand);
            if (kept.Captures.Count == 0)
            {
                kept.Account = kept.Pid == 0 ? null : Accountable.Of(kept.Pid);
            }
        }
        _budget.Charge(kept.Account);
        if (kept.Account is not null && (_budget.IsSpent || _closing.Exists(one => one.Account == kept.Account)))
        {
            return;   // the next pass tries again
        }
        Look(demand, kept, doubt);
        kept.Version = demand.Version;
    }

    /// <summary>Orders the namespaces. The slowest accounts come last, because the time may not be enough for them.</summary>
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

    /// <summary>Enters the namespace, finds the interfaces that its connections use, and opens those that are not open yet.</summary>
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
            kept.Pid = 0;   // its process has just ended; another process may run there
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
            var left = MaxLookups;
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
            if (kept.Captures.Count >= MaxInNamespace || !MakeRoom(kept.Account))
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
            catch (LinuxException e) when (e.Errno is not Errno.ENODEV)   // the interface has just gone
            {
                Fail(kept, e.Message);
            }
        }
        if (refused > 0)
        {
            Fail(kept, string.Create(CultureInfo.InvariantCulture,
                $"{kept.Account ?? "the node"}: interfaces skipped: {refused}; at most {MaxInNamespace} of a network namespace are captured on, {MaxOfOne} of a pod, unit or user, and {_shares.MaxInAll} in all"));
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

    /// <summary>Whether an account may open one more interface. At the maximum number, the account with the most interfaces loses
    /// one.</summary>
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

    /// <summary>Closes interfaces that are no longer used. Each takes some milliseconds, because the kernel waits for all processors. An
    /// account with many interfaces to close gets no new ones until they are closed.</summary>
    private void CloseDetached()
    {
        // The other thread detaches them in the order of the list.
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

    /// <summary>Publishes one failure. A failure of the node itself comes before one that a tenant may have caused.</summary>
    private void Report() => _failure = _kept.Values.Where(kept => kept.Failure is not null).MinBy(kept => kept.Account is null ? 0 : 1)?.Failure;

    /// <summary>The order for the captures after a pass.</summary>
    /// <param name="Demands">The namespaces to capture in.</param>
    /// <param name="Filter">The filter of the packets.</param>
    /// <param name="Doubtful">Namespaces with connections whose packets are missing. They may use another interface now.</param>
    internal sealed record Order(IReadOnlyList<CaptureDemand> Demands, string Filter, IReadOnlySet<ulong> Doubtful);

    /// <summary>The captures of one namespace.</summary>
    private sealed class Kept
    {
        public Dictionary<int, RingCapture> Captures { get; } = [];

        /// <summary>Addresses whose interfaces were looked up.</summary>
        public HashSet<UInt128> Known { get; } = [];

        /// <summary>Remote addresses of connections that are the namespace's own.</summary>
        public HashSet<UInt128> OwnRemotes { get; } = [];

        /// <summary>A process that runs there; 0 if none is known.</summary>
        public int Pid { get; set; }

        /// <summary>The account that pays for it, as named by <see cref="Accountable"/>; null for the node itself.</summary>
        public string? Account { get; set; }

        public long Version { get; set; } = -1;

        public long LookAt { get; set; }

        public bool HasFailed { get; set; }

        /// <summary>The reason why capturing failed at the last look.</summary>
        public string? Failure { get; set; }
    }
}
