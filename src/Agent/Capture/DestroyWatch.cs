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

/// <summary>Has the kernel report how sockets ended, in the namespaces that have connections to be watched. Needs no packets.</summary>
/// <remarks>
/// <code>
///   pass ──► demands ──► a thread: opens and closes one socket per namespace, reads all of them ──► IDestroyListener
/// </code>
/// A netlink socket keeps its namespace alive: it is closed with the last watched connection there. A process with CAP_NET_ADMIN in a namespace may fill its socket with
/// messages of its own, so each account is read at a limited rate.
/// </remarks>
internal sealed partial class DestroyWatch : IDisposable
{
    /// <summary>Namespaces of one that is <see cref="Accountable"/>.</summary>
    public const int MostOfOne = 64;

    /// <summary>Messages of one account that are read in a second.</summary>
    internal const int MostInSecond = 12_800;

    /// <summary>Messages of one account that may be read at once after a time without any: a process may end with all its connections.</summary>
    internal const int MostAtOnce = 8192;

    /// <summary>Messages of one namespace that are read before those of the next one.</summary>
    private const int MostInTurn = 4096;

    /// <summary>Reasons that are logged.</summary>
    private const int MostSaid = 64;

    /// <summary>Pause while every account with messages has used up its allowance. A socket has room for what the kernel sends of others meanwhile.</summary>
    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(5);

    /// <summary>A namespace whose socket could not be opened is tried again after this time.</summary>
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

    /// <param name="listener">Is told of the sockets.</param>
    /// <param name="logger">Is told where they are not reported.</param>
    /// <param name="time">The clock.</param>
    /// <param name="mostNamespaces">In how many namespaces at a time; each takes a descriptor.</param>
    /// <exception cref="LinuxException">There are too many descriptors.</exception>
    public DestroyWatch(IDestroyListener listener, ILogger logger, TimeProvider time, int mostNamespaces)
    {
        (_listener, _logger, _time) = (listener, logger, time);
        _shares = new AccountShares(mostNamespaces, MostOfOne, nodeGives: true);
        _budget = new PassBudget(time);
        _thread = new Thread(Run, maxStackSize: 256 * 1024) { IsBackground = true, Name = "destroyed" };
        _thread.Start();
    }

    /// <summary>What keeps sockets of a namespace from being reported, null where nothing does.</summary>
    public string? Failure => _failure;

    /// <summary>Messages read, also those that were not the kernel's.</summary>
    public long Received => Volatile.Read(ref _received);

    /// <summary>Messages that the kernel had no room for.</summary>
    public long Unreported => Volatile.Read(ref _unreported);

    /// <summary>Whether sockets of a namespace are reported: one that ends without a report, and with none <see cref="Unreported"/>, ended with nothing unanswered.</summary>
    /// <remarks>The kernel reports a socket a moment after it is gone: a pass may miss it first.</remarks>
    public bool Covers(ulong inode) => _covered.Contains(inode);

    /// <summary>Brings the namespaces into line with what is wanted, and does not wait for it.</summary>
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

    /// <summary>Reads what a namespace has; false where its account has to wait.</summary>
    private bool Take(Kept kept)
    {
        var source = kept.Source!;
        var allowance = kept.Account is null ? null : Of(kept.Account);
        var left = Math.Min(MostInTurn, allowance?.Refill(_time) ?? MostInTurn);
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
                    Take(kept);   // the last connection there may have ended just now
                }
                Close(kept);
            }
        }
        foreach (var (account, allowance) in _allowances)
        {
            if (allowance.Refill(_time) == MostAtOnce)
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
        // One of them: the node's own before one that a tenant may have brought about.
        _failure = _kept.Values.Where(kept => kept.Failure is not null).MinBy(kept => kept.Account is null ? 0 : 1)?.Failure;
    }

    /// <summary>Those of accounts that take much time come last: there may not be enough of it.</summary>
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
            return;   // it is looked at after the next pass
        }
        if (!MakeRoom(kept.Account))
        {
            Fail(kept, string.Create(CultureInfo.InvariantCulture,
                $"{kept.Account ?? "the node"}: network namespaces skipped; at most {MostOfOne} of a pod, unit or user are watched, and {_shares.MostInAll} in all"));
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
            kept.Pid = 0;   // its process has just gone; another may live there
        }
        catch (Exception e) when (e is IOException or OutOfMemoryException)
        {
            Fail(kept, e.Message);
        }
    }

    /// <summary>Null where the process has moved to another namespace.</summary>
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
        // Once each: a tenant may have any number of namespaces.
        if (_said.Count < MostSaid && _said.Add(reason))
        {
            LogFailed(reason);
        }
    }

    [LoggerMessage(EventIds.DestroyedUnavailable, LogLevel.Warning, "The kernel's reports of how connections ended are not available everywhere: {Reason}")]
    private partial void LogFailed(string reason);

    /// <summary>The messages of an account that may be read now.</summary>
    private sealed class Allowance(long since)
    {
        private double _left = MostAtOnce;
        private long _since = since;

        public int Refill(TimeProvider time)
        {
            var now = time.GetTimestamp();
            _left = Math.Min(MostAtOnce, _left + (MostInSecond * time.GetElapsedTime(_since, now).TotalSeconds));
            _since = now;
            return (int)_left;
        }

        public void Spend(int count) => _left -= count;
    }

    /// <summary>What is watched of one namespace.</summary>
    private sealed class Kept(ulong inode)
    {
        public ulong Inode => inode;

        /// <summary>Null where it is not open.</summary>
        public DestroyedSockets? Source { get; set; }

        /// <summary>What the listener has been told of <see cref="DestroyedSockets.Lost"/>.</summary>
        public long Lost { get; set; }

        /// <summary>A process that lives there; 0 where none is known.</summary>
        public int Pid { get; set; }

        /// <summary>Who has to answer for it, as <see cref="Accountable"/> names it; null is the node itself.</summary>
        public string? Account { get; set; }

        public DateTimeOffset TryAt { get; set; }

        /// <summary>What kept it from being opened at the last try.</summary>
        public string? Failure { get; set; }
    }
}
