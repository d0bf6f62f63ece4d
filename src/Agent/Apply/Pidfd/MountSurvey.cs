using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>Tells which processes' descriptors may be duplicated just to see what they are.</summary>
/// <remarks>
/// Closing a descriptor, a duplicate included, calls the file's flush operation. On FUSE, NFS, CIFS and the like that talks to another
/// process or host and may wait for it for ever. Where such a file system is mounted, each descriptor is asked for its type first, which
/// costs more than the duplication itself.
/// </remarks>
internal sealed class MountSurvey
{
    /// <summary>File systems without a flush operation, or with one that only has an effect for the file's own process.</summary>
    private static readonly HashSet<string> Local = new(StringComparer.Ordinal)
    {
        "autofs", "binfmt_misc", "bpf", "btrfs", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs", "erofs", "ext2",
        "ext3", "ext4", "exfat", "fusectl", "hugetlbfs", "iso9660", "mqueue", "nsfs", "overlay", "proc", "pstore", "ramfs", "rootfs",
        "rpc_pipefs", "securityfs", "selinuxfs", "squashfs", "sysfs", "tmpfs", "tracefs", "vfat", "xfs",
    };

    private readonly Dictionary<ulong, bool> _onlyLocal = [];

    /// <summary>Whether every file system in the process's mount namespace is known to be local.</summary>
    public bool OnlyLocalFiles(int pid)
    {
        if (ProcFs.TryGetMountNamespace(pid, out var inode) != 0)
        {
            return false;
        }
        if (!_onlyLocal.TryGetValue(inode, out var local))
        {
            local = ProcFs.MountedFileSystemTypes(pid) is { Count: > 0 } types && types.IsSubsetOf(Local);
            _onlyLocal.Add(inode, local);
        }
        return local;
    }

    /// <summary>Forgets everything: mounts come and go.</summary>
    public void Refresh() => _onlyLocal.Clear();
}
