using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Capture;

/// <summary>Finds a process in a network namespace. /proc is listed at most once between two calls of <see cref="Reset"/>.</summary>
internal sealed class NamespaceProcesses
{
    private Dictionary<ulong, int>? _processes;

    /// <summary>Drops the list of processes, which may be out of date.</summary>
    public void Reset() => _processes = null;

    /// <summary>Whether a process is in a namespace.</summary>
    public static bool IsIn(int pid, ulong inode) => ProcFs.TryGetNetworkNamespace(pid, out var actual) == 0 && actual == inode;

    /// <summary>Returns a process in the namespace; 0 if there is none. The process of a socket may be in another namespace than the
    /// socket.</summary>
    public int Find(CaptureDemand demand)
    {
        foreach (var pid in demand.Processes)
        {
            if (IsIn(pid, demand.Inode))
            {
                return pid;
            }
        }
        return (_processes ??= List()).GetValueOrDefault(demand.Inode);
    }

    private static Dictionary<ulong, int> List()
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
}
