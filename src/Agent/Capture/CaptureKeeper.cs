using System.Collections.Concurrent;
using Keepalive.Agent.Liveness;
using Keepalive.Agent.Running;
using Keepalive.Linux;
using Keepalive.Linux.Capture;
using Keepalive.Linux.Namespaces;
using Keepalive.Linux.Processes;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Capture;

/// <summary>Captures in the namespaces that have connections to be watched, on the interfaces these use, and nowhere else.</summary>
/// <remarks>
/// Interfaces are opened by the pass thread, through one that enters the namespace; everything else about them is done by the one thread
/// that waits for packets on all of them. A packet socket keeps its namespace alive: it is closed with the last watched connection there.
/// </remarks>
internal sealed partial class CaptureKeeper : IDisposable
{
    /// <summary>Interfaces come and go with nothing else to tell of it: each namespace is looked at anew once in this time.</summary>
    private static readonly TimeSpan LookAgain = TimeSpan.FromSeconds(60);

    /// <summary>How long the thread waits without a packet, to see whether it is told something.</summary>
    private const int WaitMilliseconds = 100;

    /// <summary>Packets are taken many at a time: the rings have room for more than come in this time where they come one by one.</summary>
    private static readonly TimeSpan Gather = TimeSpan.FromMilliseconds(20);

    private readonly LivenessMonitor _monitor;
    private readonly ILogger _logger;
    private readonly LiveCapture _live = new();
    private readonly ConcurrentQueue<Action> _told = new();
    private readonly ManualResetEvent _stop = new(false);   // not the slim one, which spins before it waits
    private readonly Dictionary<ulong, Kept> _kept = [];
    private readonly Thread _thread;
    private string _filter = "";
    private long _dropped;
    private long _received;

    public CaptureKeeper(LivenessMonitor monitor, ILogger logger)
    {
        _monitor = monitor;
        _logger = logger;
        _thread = new Thread(Run, maxStackSize: 256 * 1024) { IsBackground = true, Name = "capture" };
        _thread.Start();
    }

    /// <summary>Packets taken, and those the kernel dropped because they were not taken in time; both since the beginning.</summary>
    public (long Received, long Dropped) Counts => (Volatile.Read(ref _received), Volatile.Read(ref _dropped));

    /// <summary>What keeps it from capturing somewhere, null where nothing does. For the pass thread.</summary>
    public string? Failure => _kept.Values.FirstOrDefault(kept => kept.Failure is not null)?.Failure;

    /// <summary>Brings the captures into line with what is wanted.</summary>
    /// <param name="demands">Where.</param>
    /// <param name="filter">What.</param>
    /// <param name="doubtful">Namespaces with connections of which nothing is captured: they may use another interface now.</param>
    public void Update(IReadOnlyList<CaptureDemand> demands, string filter, IReadOnlySet<ulong> doubtful)
    {
        if (filter != _filter)
        {
            _filter = filter;
            Tell(() => Recompile(filter));
        }
        var wanted = demands.Select(demand => demand.Inode).ToHashSet();
        foreach (var (inode, kept) in _kept)
        {
            if (!wanted.Contains(inode))
            {
                _kept.Remove(inode);
                Close(kept.Captures.Values);
            }
        }
        var now = Environment.TickCount64;
        foreach (var demand in demands)
        {
            if (!_kept.TryGetValue(demand.Inode, out var kept))
            {
                _kept.Add(demand.Inode, kept = new Kept());
            }
            kept.DropGone();
            var doubt = doubtful.Contains(demand.Inode);
            if (doubt || kept.Version != demand.Version || now >= kept.LookAt)
            {
                Look(demand, kept, doubt);
                kept.Version = demand.Version;
                kept.LookAt = now + (long)LookAgain.TotalMilliseconds;
            }
        }
    }

    /// <summary>Ends the thread and closes everything.</summary>
    public void Dispose()
    {
        _stop.Set();
        _thread.Join();
        while (_told.TryDequeue(out var action))
        {
            action();
        }
        _live.Dispose();
        _stop.Dispose();
    }

    /// <summary>Enters the namespace to see which interfaces it has, and opens those that are to be captured on and are not yet.</summary>
    private void Look(CaptureDemand demand, Kept kept, bool doubt)
    {
        if (!doubt && kept.Covers(demand))
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
            var filter = _filter;
            NetworkNamespace.Run(path, () =>
            {
                if (ProcFs.Inode("/proc/thread-self/ns/net") == demand.Inode)
                {
                    Open(demand, kept, filter);
                }
                return true;
            });
        }
        catch (LinuxException e) when (e.Errno is Errno.ENOENT or Errno.ESRCH)
        {
            kept.Path = null;   // its process has just gone; another may live there
        }
        catch (IOException e)
        {
            Fail(kept, e.Message);
        }
    }

    private void Open(CaptureDemand demand, Kept kept, string filter)
    {
        kept.Failure = null;
        var interfaces = NetworkInterfaces.List();
        kept.Addresses = [.. interfaces.SelectMany(link => link.Addresses)];
        _monitor.SetLocalAddresses(demand.Inode, kept.Addresses);
        foreach (var link in interfaces.Where(link => IsUsed(link, demand, kept.Addresses) && !kept.Captures.ContainsKey(link.Name)))
        {
            try
            {
                var capture = InterfaceCapture.Open(link.Name, filter, ownOnly: true);
                kept.Captures.Add(link.Name, capture);
                kept.HasLoopback |= link.IsLoopback;
                Tell(() => _live.Add(capture, demand.Scope));
            }
            catch (PcapException e)
            {
                Fail(kept, e.Message);
            }
        }
    }

    /// <summary>Whether watched connections may use an interface. One without an address of its own (the host's end of a pod's link, a port of a
    /// bridge or of a bond) carries what others with one carry, too, or what is only on its way through.</summary>
    private static bool IsUsed(NetworkInterface link, CaptureDemand demand, HashSet<UInt128> own) => link.IsLoopback
        ? demand.Remotes.Overlaps(own) || demand.Remotes.Any(IsLoopback)
        : link.Addresses.Any(address => !NetworkInterfaces.IsLinkLocal(address) || demand.Locals.Contains(address));

    /// <summary>127.0.0.0/8 and ::1, whichever of them an interface has.</summary>
    private static bool IsLoopback(UInt128 address) => address == 1 || (address >> 32 == 0xFFFF && (byte)(address >> 24) == 127);

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

    private void Fail(Kept kept, string reason)
    {
        kept.Failure = reason;
        if (!kept.HasFailed)
        {
            kept.HasFailed = true;
            LogFailed(reason);
        }
    }

    private void Close(IEnumerable<InterfaceCapture> captures)
    {
        foreach (var capture in captures.ToList())
        {
            Tell(() => _live.Remove(capture));
        }
    }

    private void Tell(Action action) => _told.Enqueue(action);

    private void Recompile(string filter)
    {
        foreach (var capture in _live.Captures.ToList())
        {
            try
            {
                capture.SetFilter(filter);
            }
            catch (PcapException)
            {
                // Its interface is down or gone, and the attempt has taken the socket's error: nothing else will tell. The pass thread finds it
                // closed, and opens it again where it is still there, or says why it cannot.
                _live.Remove(capture);
            }
        }
    }

    private void Run()
    {
        var dense = false;
        for (var round = 0; !_stop.WaitOne(0); round++)
        {
            while (_told.TryDequeue(out var action))
            {
                action();
            }
            if (_live.Wait(WaitMilliseconds))
            {
                if (!dense)
                {
                    _stop.WaitOne(Gather);
                }
                Take();
                dense = _live.Received - _received > LiveCapture.Dense;
                Volatile.Write(ref _received, _live.Received);
            }
            else
            {
                _monitor.CheckOverdue();
            }
            if (round % 64 == 0 || _live.Overrun.Count > 0)
            {
                Volatile.Write(ref _dropped, _live.Dropped());
            }
        }
    }

    private void Take()
    {
        try
        {
            _monitor.Take(_live);
            foreach (var scope in _live.Overrun)
            {
                _monitor.Missed(scope);
            }
        }
        catch (InterfaceGoneException)
        {
            // It is closed. The pass thread sees that, and looks for others.
        }
    }

    [LoggerMessage(EventIds.CaptureFailed, LogLevel.Warning, "Cannot capture everywhere: {Reason}")]
    private partial void LogFailed(string reason);

    /// <summary>What is captured in one namespace. Used by the pass thread.</summary>
    private sealed class Kept
    {
        public Dictionary<string, InterfaceCapture> Captures { get; } = [];

        public HashSet<UInt128> Addresses { get; set; } = [];

        public string? Path { get; set; }

        public long Version { get; set; } = -1;

        public long LookAt { get; set; }

        public bool HasLoopback { get; set; }

        public bool HasFailed { get; set; }

        /// <summary>What kept it from capturing at the last look.</summary>
        public string? Failure { get; set; }

        /// <summary>Whether connections that came since the last look are on interfaces that are captured on.</summary>
        public bool Covers(CaptureDemand demand) =>
            Environment.TickCount64 < LookAt && Captures.Count > 0 && demand.Locals.IsSubsetOf(Addresses)
            && (HasLoopback || !(demand.Remotes.Overlaps(Addresses) || demand.Remotes.Any(IsLoopback)));

        /// <summary>Drops captures whose interface has gone.</summary>
        public void DropGone()
        {
            foreach (var (name, capture) in Captures)
            {
                if (capture.IsClosed)
                {
                    Captures.Remove(name);
                    LookAt = 0;
                }
            }
        }
    }
}
