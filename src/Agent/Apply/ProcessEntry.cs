using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Apply;

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
    private static readonly string Cgroup2Mount = Directory.Exists("/sys/fs/cgroup/unified") ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup";

    private DescriptorKind[] _kinds = [];
    private ulong? _cgroup;

    public int Pid { get; } = pid;

    /// <summary>Inode number of its network namespace, 0 when it may not be read.</summary>
    public ulong Namespace { get; private set; }

    public int FirstScan { get; init; }

    public int LastScan { get; set; }

    /// <summary>The pass in which a wanted socket was last found here: such a process is asked first the next time.</summary>
    public long LastHit { get; set; }

    /// <summary>The id of its cgroup, 0 where not known. A process that is moved later only loses its place in the order of search.</summary>
    public ulong CgroupId => _cgroup ??= ProcFs.Cgroup2Path(Pid) is { } path ? ProcFs.Inode(Cgroup2Mount + path) : 0;

    public void Moved(ulong inode)
    {
        Namespace = inode;
        _kinds = [];
        _cgroup = null;
    }

    /// <summary>Makes room for descriptor numbers below <paramref name="size"/> and gives their kinds.</summary>
    public Span<DescriptorKind> Descriptors(int size)
    {
        if (_kinds.Length < size)
        {
            Array.Resize(ref _kinds, size);
        }
        return _kinds;
    }

    public void Forget(int descriptor)
    {
        if (descriptor < _kinds.Length)
        {
            _kinds[descriptor] = DescriptorKind.Unknown;
        }
    }
}
