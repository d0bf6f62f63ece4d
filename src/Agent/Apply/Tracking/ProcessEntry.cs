using System.Runtime.CompilerServices;
using Keepalive.Agent.Workloads;
using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>What is known of a descriptor number of a process.</summary>
internal enum DescriptorKind : byte
{
    Unknown = 0,

    /// <summary>Was open and not a socket when last looked at.</summary>
    NoSocket,

    /// <summary>Was a socket that no rule selects.</summary>
    OtherSocket,

    /// <summary>Is a tracked socket, as long as that socket is in the kernel's table.</summary>
    Tracked,
}

/// <summary>One process and what was learnt of its descriptors.</summary>
internal sealed class ProcessEntry(int pid)
{
    private static readonly string s_cgroup2Mount = Directory.Exists("/sys/fs/cgroup/unified") ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup";

    private DescriptorKind[] _kinds = [];
    private ulong? _cgroup;
    private StrongBox<string?>? _owner;
    private ulong _started;

    public int Pid { get; } = pid;

    /// <summary>Inode number of its network namespace, 0 when it may not be read.</summary>
    public ulong Namespace { get; private set; }

    public int FirstScan { get; init; }

    public int LastScan { get; set; }

    /// <summary>The pass in which a wanted socket was last found here: such a process is asked first the next time.</summary>
    public long LastHit { get; set; }

    /// <summary>Who has to answer for it, as <see cref="Accountable"/> names it; null is the node itself.</summary>
    public string? Owner
    {
        get
        {
            if (_owner is null)
            {
                _started = ProcFs.StartTime(Pid);
                _owner = new StrongBox<string?>(Accountable.Of(Pid));
            }
            return _owner.Value;
        }
    }

    /// <summary>Whether another process has its id now, as far as that would make a difference.</summary>
    public bool IsReplaced => _owner is not null && ProcFs.StartTime(Pid) != _started;

    /// <summary>The id of its cgroup, 0 where not known. A process that is moved later only loses its place in the order of search.</summary>
    public ulong CgroupId => _cgroup ??= ProcFs.Cgroup2Path(Pid) is { } path ? ProcFs.Inode(s_cgroup2Mount + path) : 0;

    public void Moved(ulong inode)
    {
        Namespace = inode;
        _kinds = [];
        _owner = null;
        _cgroup = null;
    }

    /// <summary>What is kept of its descriptors: the kinds of those below a number that depends on how much is kept already.</summary>
    public Span<DescriptorKind> Kinds => _kinds;

    /// <summary>On whose account they are kept; null is the node's.</summary>
    public string? Account { get; private set; }

    /// <summary>Keeps the kinds of more descriptors.</summary>
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
