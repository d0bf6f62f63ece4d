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
    private readonly Dictionary<ulong, WatchedNamespace> _watched = [];

    public IReadOnlyCollection<WatchedNamespace> Watched => _watched.Values;

    /// <summary>Namespaces that could not be entered in the last update, with the error of each.</summary>
    public Dictionary<ulong, LinuxException> Failures { get; } = [];

    public WatchedNamespace? Find(ulong inode) => _watched.GetValueOrDefault(inode);

    /// <summary>Opens what is new and lets go of what nobody lives in.</summary>
    public void Update(Action<WatchedNamespace> gone)
    {
        Failures.Clear();
        var wanted = only.Count == 0 ? Inhabited() : Named();
        foreach (var (inode, watched) in _watched)
        {
            if (!wanted.ContainsKey(inode))
            {
                _watched.Remove(inode);
                gone(watched);
                watched.Dispose();
            }
        }
        foreach (var (inode, paths) in wanted)
        {
            if (!_watched.ContainsKey(inode) && TryOpen(inode, paths) is { } handle)
            {
                _watched.Add(inode, new WatchedNamespace(inode, handle));
            }
        }
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
