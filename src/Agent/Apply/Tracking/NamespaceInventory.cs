using Keepalive.Agent.Workloads;
using Keepalive.Linux;
using Keepalive.Linux.Files;
using Keepalive.Linux.Namespaces;
using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>Holds open the network namespaces that have a process other than the agent. A namespace is released as soon as its last process
/// is gone.</summary>
/// <param name="processes">The processes of each namespace.</param>
/// <param name="only">Paths of the only namespaces to examine; empty for all.</param>
/// <param name="most">The limit of namespaces held at a time.</param>
/// <param name="exempts">Decides which namespaces are exempt from policies; null if none is.</param>
/// <param name="nodes">The inode number of the node's own namespace.</param>
/// <param name="host">Decides which sockets of the node's own namespace are exempt from policies; null if none is.</param>
/// <param name="charges">Whether owners are charged for the cost of their namespaces.</param>
internal sealed class NamespaceInventory(
    ProcessTable processes,
    IReadOnlyList<string> only,
    int most,
    NamespaceExemption? exempts = null,
    ulong nodes = 0,
    HostExemption? host = null,
    bool charges = true) : IDisposable
{
    /// <summary>The limit of namespaces held for one <see cref="Accountable"/> owner: a pod has one. Each namespace takes some
    /// descriptors and a check in every pass.</summary>
    public const int MaxOfOne = 256;

    /// <summary>The maximum number of processes to examine to find the owner of a namespace.</summary>
    private const int MaxAsked = 8;

    private readonly Dictionary<ulong, WatchedNamespace> _watched = [];
    // The limit of one owner does not hold for namespaces that the user has named.
    private readonly AccountShares _shares = new(most, only.Count > 0 ? int.MaxValue : MaxOfOne, nodeGives: false);
    private readonly Dictionary<ulong, string> _leftOut = [];

    public IReadOnlyCollection<WatchedNamespace> Watched => _watched.Values;

    /// <summary>Namespaces that could not be entered in the last update, with the error of each.</summary>
    public Dictionary<ulong, LinuxException> Failures { get; } = [];

    /// <summary>Namespaces that the last update had no time to open.</summary>
    public int Waiting { get; private set; }

    /// <summary>Namespaces that are not examined because their owner has too many.</summary>
    public int LeftOut => _leftOut.Keys.Count(inode => !Failures.ContainsKey(inode));

    /// <summary>Whether namespaces are skipped: by the limit of their owner, or for lack of descriptors.</summary>
    public bool LeavesOut => _leftOut.Count > 0;

    /// <summary>The owners that have more namespaces than are examined, in words; null if there are none.</summary>
    public string? Excess
    {
        get
        {
            string[] names = [.. _leftOut.Values.Where(HasMore).Distinct().Order(StringComparer.Ordinal)];
            return names.Length == 0 ? null : string.Join(", ", names.Take(5)) + (names.Any(name => _shares.Of(name) < MaxOfOne)
                ? $": more than a fair share of the {_shares.MaxInAll} network namespaces that {DescriptorLimit.Current} file descriptors allow; the others are skipped. To include them, raise the limit (ulimit -n, LimitNOFILE=)"
                : $": more than {MaxOfOne} network namespaces; the others are skipped");
        }
    }

    /// <summary>The reason of one of the failures; null if there are none.</summary>
    public string? Failure => Failures.Values.FirstOrDefault()?.Message;

    public WatchedNamespace? Find(ulong inode) => _watched.GetValueOrDefault(inode);

    /// <summary>Opens new namespaces and releases those without processes.</summary>
    /// <param name="budget">Limits the time for each account; null if there is no limit.</param>
    /// <param name="letGo">Called for each released namespace. The second argument says whether it is gone; if not, it was released to
    /// make room for another.</param>
    public void Update(PassBudget? budget, Action<WatchedNamespace, bool> letGo)
    {
        Failures.Clear();
        Waiting = 0;
        var wanted = Wanted();
        foreach (var (inode, watched) in _watched)
        {
            if (!wanted.ContainsKey(inode))
            {
                LetGo(watched, isGone: true, letGo);
            }
        }
        foreach (var inode in _leftOut.Keys)
        {
            if (!wanted.ContainsKey(inode))
            {
                _leftOut.Remove(inode);
            }
        }
        foreach (var (inode, paths) in wanted)
        {
            budget?.Stop();   // the search for its owner is charged to no account
            if (_watched.ContainsKey(inode) || !HasRoom(inode, out var account, out var giver))
            {
                continue;
            }
            budget?.Charge(account);
            if (account is not null && budget is { IsSpent: true })
            {
                Waiting++;
            }
            else if (TryOpen(inode, paths) is { } handle)
            {
                if (giver is not null)
                {
                    // The namespace that was opened last.
                    LetGo(_watched.Values.Last(watched => Accountable.Key(watched.Account) == giver), isGone: false, letGo);
                }
                Hold(Watch(inode, handle, account, OwnerOf(inode)));
            }
        }
        budget?.Stop();
        foreach (var watched in _watched.Values)
        {
            Judge(watched);
        }
    }

    /// <summary>Opens, one after the other, namespaces for which there was no room. Each takes the place of one whose work is
    /// done.</summary>
    /// <param name="isWanted">Tells which namespaces to open.</param>
    /// <param name="letGo">Called for each released namespace; the second argument is false.</param>
    public IEnumerable<WatchedNamespace> InTurn(Func<ulong, bool> isWanted, Action<WatchedNamespace, bool> letGo)
    {
        foreach (var (inode, paths) in Wanted().Where(wanted => !_watched.ContainsKey(wanted.Key) && isWanted(wanted.Key)))
        {
            if (_watched.Values.LastOrDefault() is { } done)
            {
                LetGo(done, isGone: false, letGo);
            }
            if (TryOpen(inode, paths) is { } handle)
            {
                Failures.Remove(inode);
                var owner = OwnerOf(inode);
                var watched = Watch(inode, handle, charges ? owner.Account : null, owner);
                Hold(watched);
                Judge(watched);
                yield return watched;
            }
        }
    }

    /// <summary>All namespaces that have processes or are named by the user, held or not.</summary>
    public IReadOnlyCollection<ulong> Present() => Wanted().Keys;

    public void Dispose()
    {
        foreach (var watched in _watched.Values)
        {
            watched.Dispose();
        }
        _watched.Clear();
    }

    /// <summary>Whether one more namespace may be held for the owner of a namespace.</summary>
    /// <param name="inode">The namespace.</param>
    /// <param name="account">Its owner.</param>
    /// <param name="giver">The account that has to release a namespace for it; null if there is room.</param>
    private bool HasRoom(ulong inode, out string? account, out string? giver)
    {
        // To find the owner, files of a process are read. The owner of a skipped namespace is known, and is read again only when there is
        // room.
        var isLeftOut = _leftOut.TryGetValue(inode, out account);
        account ??= AccountOf(inode);
        var hasRoom = _shares.Allows(account, out giver);
        if (hasRoom && isLeftOut && AccountOf(inode) is var now && now != account)
        {
            account = now;
            hasRoom = _shares.Allows(account, out giver);
        }
        if (hasRoom)
        {
            _leftOut.Remove(inode);
            return true;
        }
        if (account is not null)
        {
            _leftOut[inode] = account;
        }
        if (!HasMore(account))
        {
            Failures[inode] = DescriptorLimit.Exhausted();
        }
        return false;
    }

    /// <summary>Whether the owner of a skipped namespace has others. If it has none, or the user has named the namespaces, the limit of
    /// owners is not the reason: there are too few descriptors.</summary>
    private bool HasMore(string? account) => account is not null && only.Count == 0 && _shares.Of(account) > 0;

    private string? AccountOf(ulong inode) => charges ? OwnerOf(inode).Account : null;

    private ProcessOwner OwnerOf(ulong inode)
    {
        ProcessOwner? found = null;
        foreach (var process in processes.In(inode).Take(MaxAsked))
        {
            found = ProcessOwner.Of(process.Pid);
            if (found.Value.Workload != WorkloadName.Unknown)
            {
                break;   // an unknown workload means that the process has ended
            }
        }
        return found ?? ProcessOwner.Node;
    }

    private WatchedNamespace Watch(ulong inode, NamespaceSockets handle, string? account, ProcessOwner owner) =>
        new(inode, handle, account) { Owner = owner, IsNodes = inode == nodes, Host = inode == nodes ? host : null };

    private void Hold(WatchedNamespace watched)
    {
        _watched.Add(watched.Inode, watched);
        _shares.Take(watched.Account);
    }

    private void Judge(WatchedNamespace watched)
    {
        watched.Standing = exempts?.Invoke(watched.Inode, processes.In(watched.Inode).Select(process => process.Pid)) ?? Exemption.None;
        watched.JudgeWorkloads();
    }

    private void LetGo(WatchedNamespace watched, bool isGone, Action<WatchedNamespace, bool> letGo)
    {
        _watched.Remove(watched.Inode);
        _shares.GiveBack(watched.Account);
        letGo(watched, isGone);
        watched.Dispose();
    }

    private Dictionary<ulong, IEnumerable<string>> Wanted() => only.Count == 0 ? Inhabited() : Named();

    private Dictionary<ulong, IEnumerable<string>> Inhabited()
    {
        var inhabited = new Dictionary<ulong, IEnumerable<string>>();
        foreach (var inode in processes.Namespaces)
        {
            var members = processes.In(inode);
            if (members.Count > 1 || members.All(p => p.Pid != Environment.ProcessId))
            {
                inhabited.Add(inode, members.Select(p => ProcFs.NetworkNamespacePath(p.Pid)));
            }
        }
        return inhabited;
    }

    private Dictionary<ulong, IEnumerable<string>> Named()
    {
        var named = new Dictionary<ulong, IEnumerable<string>>();
        foreach (var path in only)
        {
            if (ProcFs.Inode(path) is var inode and not 0)
            {
                named.TryAdd(inode, [path]);
            }
        }
        return named;
    }

    private NamespaceSockets? TryOpen(ulong inode, IEnumerable<string> paths)
    {
        foreach (var path in paths)
        {
            try
            {
                var handle = NamespaceSockets.Open(path);
                // Between the listing and the opening, the process may have changed its namespace, or its id may belong to another
                // process.
                if (handle.Inode == inode)
                {
                    return handle;
                }
                handle.Dispose();
            }
            catch (LinuxException e) when (e.Errno is Errno.ENOENT or Errno.ESRCH)
            {
                // The process has just ended; another one may live in the namespace.
            }
            catch (LinuxException e)
            {
                Failures[inode] = e;
                return null;
            }
        }
        return null;
    }
}
