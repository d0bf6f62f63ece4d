using System.Runtime.InteropServices;
using System.Text;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Processes;

/// <summary>The kind of a path that may be a cgroup.</summary>
public enum CgroupPath
{
    Version2,

    /// <summary>A directory of a version 1 hierarchy, to which no program can be attached.</summary>
    Version1,

    /// <summary>A directory of some other file system.</summary>
    OtherDirectory,

    NotADirectory,

    Missing,

    /// <summary>It cannot be looked at.</summary>
    Refused,
}

/// <summary>Directories of the cgroup file systems (cgroups(7)).</summary>
public static unsafe class CgroupDirectory
{
    /// <summary>The kind of <paramref name="path"/>, by its file system.</summary>
    public static CgroupPath Look(string path)
    {
        SysVfs.statfs_t found;
        int result;
        fixed (byte* p = Encoding.UTF8.GetBytes(path + '\0'))
        {
            do
            {
                result = SysVfs.statfs(p, &found);
            }
            while (result < 0 && Marshal.GetLastPInvokeError() == Errno.EINTR);
        }
        if (result < 0)
        {
            return Marshal.GetLastPInvokeError() switch
            {
                Errno.ENOENT => CgroupPath.Missing,
                Errno.ENOTDIR => CgroupPath.NotADirectory,
                _ => CgroupPath.Refused,
            };
        }
        return !Directory.Exists(path) ? CgroupPath.NotADirectory
            : (uint)found.f_type switch
            {
                SysVfs.CGROUP2_SUPER_MAGIC => CgroupPath.Version2,
                SysVfs.CGROUP_SUPER_MAGIC => CgroupPath.Version1,
                _ => CgroupPath.OtherDirectory,
            };
    }
}
