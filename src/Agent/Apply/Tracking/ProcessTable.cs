using System.Runtime.InteropServices;
using Keepalive.Agent.Workloads;
using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>The node's processes by network namespace. An update costs about as much as a directory listing.</summary>
/// <remarks>
/// The namespace of a process is read when the process is new, and once more at the following scan: container runtimes start a process and
/// move it into its namespace a moment later. After that it is read once in <see cref="VerifyEvery"/> scans. This also detects a reused
/// process id.
/// </remarks>
internal sealed class ProcessTable
{
    private const int VerifyEvery = 12;

    /// <summary>The limit of descriptors of one process whose kinds are kept, a byte each.</summary>
    private const int MaxOfProcess = 1 << 16;

    /// <summary>The same limit for all processes of one <see cref="Accountable"/> owner. Descriptors beyond it are examined again in each
    /// search.</summary>
    private const int MaxOfAccount = 1 << 20;

    private const int MaxOfTheNode = 1 << 24;

    private readonly Dictionary<int, ProcessEntry> _byPid = [];
    private readonly Dictionary<ulong, Dictionary<int, ProcessEntry>> _byNamespace = [];
    private readonly List<int> _pids = [];
    private readonly Dictionary<string, int> _kept = [];
    private int _scan;

    public int Count => _byPid.Count;

    /// <summary>Processes whose namespace may not be read.</summary>
    public int Inaccessible { get; private set; }

    /// <summary>Namespaces with at least one process in them.</summary>
    public IReadOnlyCollection<ulong> Namespaces => _byNamespace.Keys;

    public void Scan()
    {
        _scan++;
        Inaccessible = 0;
        _pids.Clear();
        ProcFs.ListProcesses(_pids);
        foreach (var pid in _pids)
        {
            if (!_byPid.TryGetValue(pid, out var process))
            {
                process = new ProcessEntry(pid) { FirstScan = _scan };
                _byPid.Add(pid, process);
                Place(process);
            }
            else if (_scan - process.FirstScan <= 1 || (pid + _scan) % VerifyEvery == 0)
            {
                Place(process);
            }
            process.LastScan = _scan;
            Inaccessible += process.Namespace == 0 ? 1 : 0;
        }
        DropEnded();
    }

    /// <summary>Updates the table from a list of all processes and their namespaces that the caller has made.</summary>
    public void Take(IEnumerable<(int Pid, ulong Namespace)> found)
    {
        _scan++;
        foreach (var (pid, inode) in found)
        {
            if (!_byPid.TryGetValue(pid, out var process))
            {
                process = new ProcessEntry(pid) { FirstScan = _scan };
                _byPid.Add(pid, process);
            }
            Place(process, inode);
            process.LastScan = _scan;
        }
        DropEnded();
    }

    /// <summary>The processes of a namespace, in no particular order.</summary>
    public IReadOnlyCollection<ProcessEntry> In(ulong inode) => _byNamespace.TryGetValue(inode, out var processes) ? processes.Values : [];

    /// <summary>All processes that are not in the namespace.</summary>
    public IEnumerable<ProcessEntry> Outside(ulong inode) => _byPid.Values.Where(p => p.Namespace != inode);

    public ProcessEntry? Find(int pid) => _byPid.GetValueOrDefault(pid);

    /// <summary>Returns the known kinds of a process's descriptors, after making room for more if the limits allow it.</summary>
    /// <param name="process">The process.</param>
    /// <param name="size">The size of its descriptor table.</param>
    /// <param name="account">The account that is charged for the room; null for the node's.</param>
    public Span<DescriptorKind> Descriptors(ProcessEntry process, int size, string? account)
    {
        var wanted = Math.Min(size, MaxOfProcess);
        var have = process.Kinds.Length;
        if (have < wanted && Known(process))
        {
            var name = Accountable.Key(have > 0 ? process.Account : account);
            ref var kept = ref CollectionsMarshal.GetValueRefOrAddDefault(_kept, name, out _);
            var most = name.Length == 0 ? MaxOfTheNode : MaxOfAccount;
            if (kept + wanted - have <= most)
            {
                kept += wanted - have;
                process.Keep(wanted, name.Length == 0 ? null : name);
            }
        }
        return process.Kinds;

        bool Known(ProcessEntry entry) => _byPid.TryGetValue(entry.Pid, out var listed) && ReferenceEquals(listed, entry);
    }

    private void GiveBack(ProcessEntry process)
    {
        if (process.Kinds.Length > 0)
        {
            var name = Accountable.Key(process.Account);
            if ((_kept[name] -= process.Kinds.Length) == 0)
            {
                _kept.Remove(name);
            }
        }
    }

    private void DropEnded()
    {
        foreach (var (pid, process) in _byPid)
        {
            if (process.LastScan != _scan)
            {
                _byPid.Remove(pid);
                Remove(process);
                GiveBack(process);
            }
        }
    }

    private void Place(ProcessEntry process)
    {
        // This fails for a process that has just ended; the next listing drops it.
        _ = ProcFs.TryGetNetworkNamespace(process.Pid, out var inode);
        if (process.IsReplaced)
        {
            Place(process, 0);
        }
        Place(process, inode);
    }

    private void Place(ProcessEntry process, ulong inode)
    {
        if (inode == process.Namespace)
        {
            return;
        }
        Remove(process);
        GiveBack(process);
        process.Moved(inode);
        if (inode != 0)
        {
            if (!_byNamespace.TryGetValue(inode, out var processes))
            {
                _byNamespace.Add(inode, processes = []);
            }
            processes.Add(process.Pid, process);
        }
    }

    private void Remove(ProcessEntry process)
    {
        if (process.Namespace != 0 && _byNamespace.TryGetValue(process.Namespace, out var processes))
        {
            processes.Remove(process.Pid);
            if (processes.Count == 0)
            {
                _byNamespace.Remove(process.Namespace);
            }
        }
    }
}
