using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Capture;

/// <summary>Finds a process that lives in a network namespace. /proc is listed at most once for each order.</summary>
internal sealed class NamespaceProcesses
{
    private Dictionary<ulong, int>? _processes;

    /// <summary>What was listed is no longer true.</summary>
    public void Reset() => _processes = null;

    /// <summary>Whether a process lives in a namespace.</summary>
    public static bool IsIn(int pid, ulong inode) => ProcFs.TryGetNetworkNamespace(pid, out var actual) == 0 && actual == inode;

    /// <summary>One that lives there, 0 where there is none: a socket's process need not live in the socket's namespace.</summary>
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
