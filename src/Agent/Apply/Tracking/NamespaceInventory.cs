using Keepalive.Agent.Workloads;
using Keepalive.Linux;
using Keepalive.Linux.Files;
using Keepalive.Linux.Namespaces;
using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>Which namespaces are held: those something other than the agent lives in, and none a moment longer.</summary>
/// <param name="processes">Who lives where.</param>
/// <param name="only">Paths of the only namespaces to look at; empty for all.</param>
/// <param name="most">How many are held at a time.</param>
/// <param name="exempts">Which are left alone; null is none.</param>
internal sealed class NamespaceInventory(ProcessTable processes, IReadOnlyList<string> only, int most, NamespaceExemption? exempts = null) : IDisposable
{
    /// <summary>Namespaces that are held of one that is <see cref="Accountable"/>: a pod has one, and each takes some descriptors and a look in every pass.</summary>
    public const int MostOfOne = 256;

    private readonly Dictionary<ulong, WatchedNamespace> _watched = [];
    // What the user has named is not rationed.
    private readonly AccountShares _shares = new(most, only.Count > 0 ? int.MaxValue : MostOfOne, nodeGives: false);
    private readonly Dictionary<ulong, string> _leftOut = [];

    public IReadOnlyCollection<WatchedNamespace> Watched => _watched.Values;

    /// <summary>Namespaces that could not be entered in the last update, with the error of each.</summary>
    public Dictionary<ulong, LinuxException> Failures { get; } = [];

    /// <summary>Namespaces that the last update had no time to open.</summary>
    public int Waiting { get; private set; }

    /// <summary>Namespaces that are not looked into, as their owner has too many.</summary>
    public int LeftOut => _leftOut.Keys.Count(inode => !Failures.ContainsKey(inode));

    /// <summary>Whether there are namespaces that are not looked into.</summary>
    public bool LeavesOut => _leftOut.Count > 0;

    /// <summary>Who has more namespaces than are looked into, in words; null where nobody has.</summary>
    public string? Excess
    {
        get
        {
            string[] names = [.. _leftOut.Values.Where(HasMore).Distinct().Order(StringComparer.Ordinal)];
            return names.Length == 0 ? null : string.Join(", ", names.Take(5)) + (names.Any(name => _shares.Of(name) < MostOfOne)
                ? $": more than a fair share of the {_shares.MostInAll} network namespaces that {DescriptorLimit.Current} file descriptors allow; the others are skipped. To include them, raise the limit (ulimit -n, LimitNOFILE=)"
                : $": more than {MostOfOne} network namespaces; the others are skipped");
        }
    }

    /// <summary>Why one of the failures failed; null without any.</summary>
    public string? Failure => Failures.Values.FirstOrDefault()?.Message;

    public WatchedNamespace? Find(ulong inode) => _watched.GetValueOrDefault(inode);

    /// <summary>Opens what is new and lets go of what nobody lives in.</summary>
    /// <param name="budget">How long each account may take; null where there is no limit.</param>
    /// <param name="letGo">Told of what it lets go of, and whether it is gone; else it makes room for another.</param>
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
            budget?.Stop();   // whose it is is found out on nobody's account
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
                    // The youngest.
                    LetGo(_watched.Values.Last(watched => Accountable.Key(watched.Account) == giver), isGone: false, letGo);
                }
                Hold(new WatchedNamespace(inode, handle, account));
            }
        }
        budget?.Stop();
        foreach (var watched in _watched.Values)
        {
            Judge(watched);
        }
    }

    /// <summary>Opens namespaces that there was no room for, one after the other, each in the place of one that is done with.</summary>
    /// <param name="isWanted">Tells which.</param>
    /// <param name="letGo">Told of what it lets go of, and that it is not gone.</param>
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
                var watched = new WatchedNamespace(inode, handle, AccountOf(inode));
                Hold(watched);
                Judge(watched);
                yield return watched;
            }
        }
    }

    /// <summary>Those that something lives in, held or not.</summary>
    public IReadOnlyCollection<ulong> Present() => Wanted().Keys;

    public void Dispose()
    {
        foreach (var watched in _watched.Values)
        {
            watched.Dispose();
        }
        _watched.Clear();
    }

    /// <summary>Whether another namespace of those who live in one may be held.</summary>
    /// <param name="inode">The namespace.</param>
    /// <param name="account">Whose it is.</param>
    /// <param name="giver">Who has to give one up for it; null where there is room.</param>
    private bool HasRoom(ulong inode, out string? account, out string? giver)
    {
        // Whose it is takes a look at its processes: of one that is left out that is known, and looked at again only once there is room.
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

    /// <summary>Whether one that is left out has others. Where not, and of what the user has named, nobody has too many: there are too few descriptors.</summary>
    private bool HasMore(string? account) => account is not null && only.Count == 0 && _shares.Of(account) > 0;

    private string? AccountOf(ulong inode) => processes.In(inode).FirstOrDefault() is { } process ? Accountable.Of(process.Pid) : null;

    private void Hold(WatchedNamespace watched)
    {
        _watched.Add(watched.Inode, watched);
        _shares.Take(watched.Account);
    }

    private void Judge(WatchedNamespace watched) =>
        watched.Exemption = exempts?.Invoke(watched.Inode, processes.In(watched.Inode).Select(process => process.Pid)) ?? Exemption.None;

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
                // Between listing and opening, the process may have moved on or its number may have been given to another.
                if (handle.Inode == inode)
                {
                    return handle;
                }
                handle.Dispose();
            }
            catch (LinuxException e) when (e.Errno is Errno.ENOENT or Errno.ESRCH)
            {
                // Its process has just gone; another may live there.
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
