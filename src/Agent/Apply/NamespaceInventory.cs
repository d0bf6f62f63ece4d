using System.Runtime.InteropServices;
using Keepalive.Linux;
using Keepalive.Linux.Namespaces;
using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Apply;

/// <summary>Which namespaces are held: those something other than the agent lives in, and none a moment longer.</summary>
/// <param name="processes">Who lives where.</param>
/// <param name="only">Paths of the only namespaces to look at; empty for all.</param>
/// <param name="exempts">Which are left alone; null is none.</param>
internal sealed class NamespaceInventory(ProcessTable processes, IReadOnlyList<string> only, NamespaceExemption? exempts = null) : IDisposable
{
    /// <summary>Namespaces that are held of one that is <see cref="Accountable"/>: a pod has one, and each takes some descriptors and a look in every pass.</summary>
    public const int MostOfOne = 256;

    private readonly Dictionary<ulong, WatchedNamespace> _watched = [];
    private readonly Dictionary<string, int> _held = [];
    private readonly Dictionary<ulong, string> _leftOut = [];

    public IReadOnlyCollection<WatchedNamespace> Watched => _watched.Values;

    /// <summary>Namespaces that could not be entered in the last update, with the error of each.</summary>
    public Dictionary<ulong, LinuxException> Failures { get; } = [];

    /// <summary>Namespaces that the last update had no time to open.</summary>
    public int Waiting { get; private set; }

    /// <summary>Who has more namespaces than are looked into, in words; null where nobody has.</summary>
    public string? Excess => _leftOut.Count == 0 ? null
        : string.Join(", ", _leftOut.Values.Distinct().Order(StringComparer.Ordinal).Take(5)) + $": more than {MostOfOne} network namespaces; the others are not looked into";

    /// <summary>Why one of the failures failed; null without any.</summary>
    public string? Failure => Failures.Values.FirstOrDefault()?.Message;

    public WatchedNamespace? Find(ulong inode) => _watched.GetValueOrDefault(inode);

    /// <summary>Opens what is new and lets go of what nobody lives in.</summary>
    /// <param name="budget">How long each account may take; null where there is no limit.</param>
    /// <param name="gone">Told of what it lets go of.</param>
    public void Update(PassBudget? budget, Action<WatchedNamespace> gone)
    {
        Failures.Clear();
        Waiting = 0;
        var wanted = only.Count == 0 ? Inhabited() : Named();
        foreach (var (inode, watched) in _watched)
        {
            if (!wanted.ContainsKey(inode))
            {
                _watched.Remove(inode);
                Hold(watched.Account, -1);
                gone(watched);
                watched.Dispose();
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
            if (_watched.ContainsKey(inode) || !HasRoom(inode, out var account))
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
                _watched.Add(inode, new WatchedNamespace(inode, handle, account));
                Hold(account, 1);
            }
        }
        budget?.Stop();
        if (exempts is not null)
        {
            foreach (var watched in _watched.Values)
            {
                watched.Exemption = exempts(watched.Inode, processes.In(watched.Inode).Select(process => process.Pid));
            }
        }
    }

    public void Dispose()
    {
        foreach (var watched in _watched.Values)
        {
            watched.Dispose();
        }
        _watched.Clear();
    }

    /// <summary>Whether another namespace of those who live in one may be held.</summary>
    private bool HasRoom(ulong inode, out string? account)
    {
        if (_leftOut.TryGetValue(inode, out account) && _held.GetValueOrDefault(account) >= MostOfOne)
        {
            return false;
        }
        account = processes.In(inode).FirstOrDefault() is { } process ? Accountable.Of(process.Pid) : null;
        // What the user has named, and what is the node's own, is not rationed.
        if (account is null || only.Count > 0 || _held.GetValueOrDefault(account) < MostOfOne)
        {
            _leftOut.Remove(inode);
            return true;
        }
        _leftOut[inode] = account;
        return false;
    }

    private void Hold(string? account, int more)
    {
        if (account is not null)
        {
            CollectionsMarshal.GetValueRefOrAddDefault(_held, account, out _) += more;
        }
    }

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
