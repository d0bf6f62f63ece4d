using System.Runtime.CompilerServices;
using Keepalive.Agent.Workloads;
using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>The known kind of a descriptor number of a process.</summary>
internal enum DescriptorKind : byte
{
    Unknown = 0,

    /// <summary>It was open and not a socket when last examined.</summary>
    NoSocket,

    /// <summary>It was a socket that no rule selects.</summary>
    OtherSocket,

    /// <summary>It is a tracked socket, as long as that socket is in the kernel's table.</summary>
    Tracked,
}

/// <summary>A process and the known kinds of its descriptors.</summary>
internal sealed class ProcessEntry(int pid)
{
    private static readonly string s_cgroup2Mount = Directory.Exists("/sys/fs/cgroup/unified") ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup";

    private DescriptorKind[] _kinds = [];
    private ulong? _cgroup;
    private StrongBox<ProcessOwner>? _owner;
    private ulong _started;

    public int Pid { get; } = pid;

    /// <summary>Inode number of its network namespace; 0 if it may not be read.</summary>
    public ulong Namespace { get; private set; }

    public int FirstScan { get; init; }

    public int LastScan { get; set; }

    /// <summary>The pass in which a wanted socket was last found here: the next search begins with such processes.</summary>
    public long LastHit { get; set; }

    /// <summary>The owner that is charged for it, as <see cref="Accountable"/> names it; null for the node itself.</summary>
    public string? Owner => Whose.Account;

    /// <summary>The owner that is charged for it, and the workload it belongs to.</summary>
    public ProcessOwner Whose
    {
        get
        {
            if (_owner is null)
            {
                _started = ProcFs.StartTime(Pid);
                _owner = new StrongBox<ProcessOwner>(ProcessOwner.Of(Pid));
            }
            return _owner.Value;
        }
    }

    /// <summary>Whether another process has its id now. This is checked only after its owner was read.</summary>
    public bool IsReplaced => _owner is not null && ProcFs.StartTime(Pid) != _started;

    /// <summary>The id of its cgroup; 0 if unknown. It is read once: if the process is moved later, only its place in the order of search
    /// is wrong.</summary>
    public ulong CgroupId => _cgroup ??= ProcFs.Cgroup2Path(Pid) is { } path ? ProcFs.Inode(s_cgroup2Mount + path) : 0;

    public void Moved(ulong inode)
    {
        Namespace = inode;
        _kinds = [];
        _owner = null;
        _cgroup = null;
    }

    /// <summary>The known kinds of its descriptors, by number. How many are kept depends on the limits of
    /// <see cref="ProcessTable"/>.</summary>
    public Span<DescriptorKind> Kinds => _kinds;

    /// <summary>The account that is charged for them; null for the node's.</summary>
    public string? Account { get; private set; }

    /// <summary>Makes room for the kinds of more descriptors.</summary>
    public void Keep(int count, string? account)
    {
        Array.Resize(ref _kinds, count);
        Account = account;
    }

    public void Forget(int descriptor)
    {
        if (descriptor < _kinds.Length)
        {
            _kinds[descriptor] = DescriptorKind.Unknown;
        }
    }
}
