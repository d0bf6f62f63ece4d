using System.Globalization;
using System.Runtime.InteropServices;
using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Log;
using Keepalive.Agent.Workloads;
using Keepalive.Linux;
using Keepalive.Linux.Namespaces;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Processes;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Capture;

/// <summary>Receives the kernel's reports of how sockets ended, in the namespaces with watched connections. It needs no packets.</summary>
/// <remarks>
/// <code>
///   pass ──► demands ──► a thread: opens and closes one socket per namespace, reads all of them ──► IDestroyListener
/// </code>
/// A netlink socket keeps its namespace alive, so it is closed with the last watched connection there. A process with CAP_NET_ADMIN in a namespace
/// can fill the socket with messages of its own, so each account is read at a limited rate.
/// </remarks>
internal sealed partial class DestroyWatch : IDisposable
{
    /// <summary>The limit of namespaces of one <see cref="Accountable"/> owner.</summary>
    public const int MaxOfOne = 64;

    /// <summary>The limit of messages of one account that are read in a second.</summary>
    internal const int MaxInSecond = 12_800;

    /// <summary>The limit of messages of one account that are read at once after a quiet time: a process may end with all its connections.</summary>
    internal const int MaxAtOnce = 8192;

    /// <summary>The limit of messages of one namespace that are read before those of the next one.</summary>
    private const int MaxInTurn = 4096;

    /// <summary>The limit of different reasons that are logged.</summary>
    private const int MaxSaid = 64;

    /// <summary>The pause while every account with messages has used up its allowance. The sockets of others have room for the kernel's messages
    /// meanwhile.</summary>
    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(5);

    /// <summary>The time after which a failed namespace is tried again.</summary>
    private static readonly TimeSpan s_tryAgain = TimeSpan.FromSeconds(60);

    private readonly IDestroyListener _listener;
    private readonly ILogger _logger;
    private readonly TimeProvider _time;
    private readonly AccountShares _shares;
    private readonly PassBudget _budget;
    private readonly NamespaceProcesses _processes = new();
    private readonly Dictionary<ulong, Kept> _kept = [];
    private readonly Dictionary<DestroyedSockets, Kept> _open = [];
    private readonly Dictionary<string, Allowance> _allowances = [];
    private readonly HashSet<string> _said = [];
    private readonly DestroyedPoll _poll = new();
    private readonly ManualResetEvent _stop = new(false);   // not the slim one, which spins before it waits
    private readonly Thread _thread;
    private IReadOnlyList<CaptureDemand>? _next;
    private volatile HashSet<ulong> _covered = [];
    private volatile string? _failure;
    private long _received;
    private long _unreported;

    /// <param name="listener">Receives the reports.</param>
    /// <param name="logger">Receives the reasons why sockets of a namespace are not reported.</param>
    /// <param name="time">The clock.</param>
    /// <param name="maxNamespaces">The limit of namespaces at a time; each takes a descriptor.</param>
    /// <exception cref="LinuxException">There are too many descriptors.</exception>
    public DestroyWatch(IDestroyListener listener, ILogger logger, TimeProvider time, int maxNamespaces)
    {
        (_listener, _logger, _time) = (listener, logger, time);
        _shares = new AccountShares(maxNamespaces, MaxOfOne, nodeGives: true);
        _budget = new PassBudget(time);
        _thread = new Thread(Run, maxStackSize: 256 * 1024) { IsBackground = true, Name = "destroyed" };
        _thread.Start();
    }

    /// <summary>The reason why sockets of a namespace are not reported; null if there is none.</summary>
    public string? Failure => _failure;

    /// <summary>The number of messages read, including those that were not the kernel's.</summary>
    public long Received => Volatile.Read(ref _received);

    /// <summary>The number of messages that the kernel had no room for.</summary>
    public long Unreported => Volatile.Read(ref _unreported);

    /// <summary>Whether sockets of a namespace are reported. If none is <see cref="Unreported"/>, a socket without a report ended with nothing
    /// unanswered.</summary>
    /// <remarks>The kernel reports a socket a moment after it is gone, so a pass may notice that first.</remarks>
    public bool Covers(ulong inode) => _covered.Contains(inode);

    /// <summary>Starts to watch the namespaces of the demands and no others. Does not wait for it.</summary>
    public void Update(IReadOnlyList<CaptureDemand> demands)
    {
        Volatile.Write(ref _next, demands);
        _poll.Wake();
    }

    /// <summary>Ends the thread and closes everything.</summary>
    public void Dispose()
    {
        _stop.Set();
        _poll.Wake();
        _thread.Join();
        foreach (var source in _open.Keys)
        {
            source.Dispose();
        }
        _poll.Dispose();
        _stop.Dispose();
    }

    private void Run()
    {
        var ready = new List<DestroyedSockets>();
        while (!_stop.WaitOne(0))
        {
            _poll.Wait(ready);
            var paused = ready.Count > 0;
            foreach (var source in ready)
            {
                paused &= !Take(_open[source]);
            }
            if (paused)
            {
                _stop.WaitOne(s_pause);
            }
            if (Interlocked.Exchange(ref _next, null) is { } demands)
            {
                Follow(demands);
            }
        }
    }

    /// <summary>Reads the messages of a namespace. Returns false if its account has to wait.</summary>
    private bool Take(Kept kept)
    {
        var source = kept.Source!;
        var allowance = kept.Account is null ? null : Of(kept.Account);
        var left = Math.Min(MaxInTurn, allowance?.Refill(_time) ?? MaxInTurn);
        var count = 0;
        try
        {
            for (; count < left && source.TryRead(out var socket); count++)
            {
                if (socket is { } gone)
                {
                    _listener.Destroyed(kept.Inode, in gone);
                }
            }
        }
        catch (LinuxException e)
        {
            Close(kept);
            Fail(kept, e.Message);
        }
        allowance?.Spend(count);
        Volatile.Write(ref _received, _received + count);
        if (source.Lost - kept.Lost is var more and not 0)
        {
            kept.Lost = source.Lost;
            Volatile.Write(ref _unreported, _unreported + more);
            _listener.DestroyedUnreported(kept.Inode, more);
        }
        return left > 0;
    }

    private Allowance Of(string account)
    {
        ref var allowance = ref CollectionsMarshal.GetValueRefOrAddDefault(_allowances, account, out _);
        return allowance ??= new Allowance(_time.GetTimestamp());
    }

    private void Follow(IReadOnlyList<CaptureDemand> demands)
    {
        var wanted = demands.Select(demand => demand.Inode).ToHashSet();
        foreach (var (inode, kept) in _kept)
        {
            if (!wanted.Contains(inode))
            {
                _kept.Remove(inode);
                if (kept.Source is not null)
                {
                    Take(kept);   // the report of its last connection may have just arrived
                }
                Close(kept);
            }
        }
        foreach (var (account, allowance) in _allowances)
        {
            if (allowance.Refill(_time) == MaxAtOnce)
            {
                _allowances.Remove(account);
            }
        }
        _processes.Reset();
        _budget.BeginPass();
        foreach (var (demand, kept) in InTurn(demands))
        {
            if (_stop.WaitOne(0))
            {
                break;
            }
            if (kept.Source is null && _time.GetUtcNow() >= kept.TryAt)
            {
                Follow(demand, kept);
            }
        }
        _budget.Stop();
        _covered = [.. _kept.Values.Where(kept => kept.Source is not null).Select(kept => kept.Inode)];
        // A failure of the node itself comes before one that a tenant may have caused.
        _failure = _kept.Values.Where(kept => kept.Failure is not null).MinBy(kept => kept.Account is null ? 0 : 1)?.Failure;
    }

    /// <summary>Sorts accounts that take much time last, because the time may not be enough for all.</summary>
    private IEnumerable<(CaptureDemand Demand, Kept Kept)> InTurn(IReadOnlyList<CaptureDemand> demands)
    {
        var all = new List<(CaptureDemand Demand, Kept Kept)>(demands.Count);
        foreach (var demand in demands)
        {
            if (!_kept.TryGetValue(demand.Inode, out var kept))
            {
                _kept.Add(demand.Inode, kept = new Kept(demand.Inode));
            }
            all.Add((demand, kept));
        }
        return all.OrderBy(one => _budget.Cost(one.Kept.Account));
    }

    private void Follow(CaptureDemand demand, Kept kept)
    {
        _budget.Charge(kept.Account);
        if (kept.Pid == 0 || !NamespaceProcesses.IsIn(kept.Pid, demand.Inode))
        {
            kept.Pid = _processes.Find(demand);
            kept.Account = kept.Pid == 0 ? null : Accountable.Of(kept.Pid);
        }
        _budget.Charge(kept.Account);
        if (kept.Pid == 0 || (kept.Account is not null && _budget.IsSpent))
        {
            return;   // it is tried again after the next pass
        }
        if (!MakeRoom(kept.Account))
        {
            Fail(kept, string.Create(CultureInfo.InvariantCulture,
                $"{kept.Account ?? "the node"}: network namespaces skipped; at most {MaxOfOne} of a pod, unit or user are watched, and {_shares.MaxInAll} in all"));
            return;
        }
        try
        {
            if (NetworkNamespace.Run(ProcFs.NetworkNamespacePath(kept.Pid), () => Open(demand.Inode)) is { } source)
            {
                Add(kept, source);
            }
        }
        catch (LinuxException e) when (e.Call == "open" && e.Errno is Errno.ENOENT or Errno.ESRCH)
        {
            kept.Pid = 0;   // its process has just ended; another one may be there
        }
        catch (Exception e) when (e is IOException or OutOfMemoryException)
        {
            Fail(kept, e.Message);
        }
    }

    /// <summary>Returns null if the process has moved to another namespace.</summary>
    private static DestroyedSockets? Open(ulong inode) => ProcFs.Inode("/proc/thread-self/ns/net") == inode ? DestroyedSockets.Open() : null;

    private void Add(Kept kept, DestroyedSockets source)
    {
        try
        {
            _poll.Add(source);
        }
        catch
        {
            source.Dispose();
            throw;
        }
        (kept.Source, kept.Lost, kept.Failure) = (source, 0, null);
        _open.Add(source, kept);
        _shares.Take(kept.Account);
    }

    /// <summary>Whether one more may be opened for an account. If all are taken, the account with the most gives one up.</summary>
    private bool MakeRoom(string? account)
    {
        if (!_shares.Allows(account, out var from))
        {
            return false;
        }
        if (from is { } giver && _open.Values.FirstOrDefault(kept => Accountable.Key(kept.Account) == giver) is { } most)
        {
            Close(most);
            most.TryAt = _time.GetUtcNow() + s_tryAgain;
        }
        return true;
    }

    private void Close(Kept kept)
    {
        if (kept.Source is { } source)
        {
            kept.Source = null;
            _open.Remove(source);
            _poll.Remove(source);
            source.Dispose();
            _shares.GiveBack(kept.Account);
        }
    }

    private void Fail(Kept kept, string reason)
    {
        kept.Failure = reason;
        kept.TryAt = _time.GetUtcNow() + s_tryAgain;
        // Each reason is logged once: a tenant can have any number of namespaces.
        if (_said.Count < MaxSaid && _said.Add(reason))
        {
            LogFailed(reason);
        }
    }

    [LoggerMessage(EventIds.DestroyedUnavailable, LogLevel.Warning, "The kernel's reports of how connections ended are not available everywhere: {Reason}")]
    private partial void LogFailed(string reason);

    /// <summary>Returns how many messages of an account may be read now.</summary>
    private sealed class Allowance(long since)
    {
        private double _left = MaxAtOnce;
        private long _since = since;

        public int Refill(TimeProvider time)
        {
            var now = time.GetTimestamp();
            _left = Math.Min(MaxAtOnce, _left + (MaxInSecond * time.GetElapsedTime(_since, now).TotalSeconds));
            _since = now;
            return (int)_left;
        }

        public void Spend(int count) => _left -= count;
    }

    /// <summary>The watch of one namespace.</summary>
    private sealed class Kept(ulong inode)
    {
        public ulong Inode => inode;

        /// <summary>Its socket; null if it is not open.</summary>
        public DestroyedSockets? Source { get; set; }

        /// <summary>The value of <see cref="DestroyedSockets.Lost"/> that was last reported.</summary>
        public long Lost { get; set; }

        /// <summary>A process in the namespace; 0 if none is known.</summary>
        public int Pid { get; set; }

        /// <summary>The owner that is charged for it, as <see cref="Accountable"/> names it; null for the node itself.</summary>
        public string? Account { get; set; }

        public DateTimeOffset TryAt { get; set; }

        /// <summary>The reason why the last try to open it failed.</summary>
        public string? Failure { get; set; }
    }
}
