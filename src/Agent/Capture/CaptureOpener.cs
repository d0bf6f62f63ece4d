using System.Globalization;
using Keepalive.Agent.Liveness;
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

    /// <summary>Interfaces in all: each takes a descriptor and 128 KiB.</summary>
    public const int MostInAll = 1024;

    /// <summary>Addresses of one namespace looked up at a time, some µs each.</summary>
    private const int MostLookups = 4096;

    /// <summary>Interfaces and routes change with nothing else to tell of it: each namespace is looked at anew once in this time.</summary>
    private static readonly TimeSpan LookAgain = TimeSpan.FromSeconds(60);

    private readonly LivenessMonitor _monitor;
    private readonly Action<RingCapture, int> _opened;
    private readonly Action<RingCapture> _close;
    private readonly Action<string> _failed;
    private readonly Dictionary<ulong, Kept> _kept = [];
    private readonly Lock _lock = new();
    private readonly AutoResetEvent _wake = new(false);
    private readonly Thread _thread;
    private (Order Order, ManualResetEventSlim Done)? _next;
    private volatile bool _stopping;
    private volatile string? _failure;
    private SocketFilter? _filter;
    private string _filterText = "";
    private int _open;

    /// <param name="monitor">Told which addresses are a namespace's own.</param>
    /// <param name="opened">Takes an interface, and what its packets are to be marked with.</param>
    /// <param name="close">Gives one back, closed.</param>
    /// <param name="failed">Told what keeps it from capturing in a namespace, once for each.</param>
    public CaptureOpener(LivenessMonitor monitor, Action<RingCapture, int> opened, Action<RingCapture> close, Action<string> failed)
    {
        (_monitor, _opened, _close, _failed) = (monitor, opened, close, failed);
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
                    Close(capture);
                }
            }
        }
        var time = Environment.TickCount64;
        foreach (var demand in order.Demands)
        {
            if (_stopping || _filter is null)
            {
                return;
            }
            if (!_kept.TryGetValue(demand.Inode, out var kept))
            {
                _kept.Add(demand.Inode, kept = new Kept());
            }
            DropGone(kept);
            var doubt = order.Doubtful.Contains(demand.Inode);
            if (doubt || kept.Version != demand.Version || time >= kept.LookAt)
            {
                Look(demand, kept, doubt);
                kept.Version = demand.Version;
            }
        }
        Report();
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
            kept.LookAt = time + (long)LookAgain.TotalMilliseconds;
        }
        else if (kept.Captures.Count > 0 && demand.Locals.IsSubsetOf(kept.Known) && demand.Remotes.IsSubsetOf(kept.Known))
        {
            return;
        }
        if (kept.Path is null || ProcFs.Inode(kept.Path) != demand.Inode)
        {
            kept.Path = FindPath(demand);
        }
        if (kept.Path is not { } path)
        {
            return;
        }
        try
        {
            kept.Failure = null;
            NetworkNamespace.Run(path, () =>
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
            kept.Path = null;   // its process has just gone; another may live there
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
        _monitor.SetLocalAddresses(demand.Inode, [.. demand.Locals, .. kept.OwnRemotes]);
        foreach (var index in anew ? kept.Captures.Keys.Except(used).ToList() : [])
        {
            kept.Captures.Remove(index, out var unused);
            Close(unused!);
        }
        var refused = 0;
        foreach (var index in used.Where(index => !kept.Captures.ContainsKey(index)).Order())
        {
            if (kept.Captures.Count >= MostInNamespace || _open >= MostInAll)
            {
                refused++;
                continue;
            }
            try
            {
                var capture = RingCapture.Open(index, _filter!);
                kept.Captures.Add(index, capture);
                _open++;
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
                $"interfaces left out: {refused}; at most {MostInNamespace} of a network namespace are captured on, and {MostInAll} in all"));
        }
    }

    private void DropGone(Kept kept)
    {
        foreach (var (index, capture) in kept.Captures)
        {
            if (capture.IsGone)
            {
                kept.Captures.Remove(index);
                Close(capture);
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
                Close(capture);
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

    private void Close(RingCapture capture)
    {
        _open--;
        _close(capture);
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

    private void Report() => _failure = _kept.Values.FirstOrDefault(kept => kept.Failure is not null)?.Failure;

    private static string? FindPath(CaptureDemand demand)
    {
        // A socket's process need not live in the socket's namespace.
        foreach (var pid in demand.Processes)
        {
            if (ProcFs.TryGetNetworkNamespace(pid, out var inode) == 0 && inode == demand.Inode)
            {
                return ProcFs.NetworkNamespacePath(pid);
            }
        }
        var all = new List<int>();
        ProcFs.ListProcesses(all);
        foreach (var pid in all)
        {
            if (ProcFs.TryGetNetworkNamespace(pid, out var inode) == 0 && inode == demand.Inode)
            {
                return ProcFs.NetworkNamespacePath(pid);
            }
        }
        return null;
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

        public string? Path { get; set; }

        public long Version { get; set; } = -1;

        public long LookAt { get; set; }

        public bool HasFailed { get; set; }

        /// <summary>What kept it from capturing at the last look.</summary>
        public string? Failure { get; set; }
    }
}
