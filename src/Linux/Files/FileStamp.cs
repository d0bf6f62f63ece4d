using System.Text;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Files;

/// <summary>Distinguishes the states of a file: after a write, or with another file in its place, the stamp differs.</summary>
/// <param name="Inode">Its inode number.</param>
/// <param name="Size">Its size in bytes.</param>
/// <param name="Changed">Its ctime, in nanoseconds since 1970: unlike the mtime nobody can set it (statx(2), inode(7)).</param>
public readonly record struct FileStamp(ulong Inode, ulong Size, long Changed)
{
    /// <summary>That of the file at a path, links followed; null where there is none, or it may not be looked at.</summary>
    public static unsafe FileStamp? Of(string path)
    {
        SysStat.statx_t result;
        fixed (byte* p = Encoding.UTF8.GetBytes(path + '\0'))
        {
            const uint mask = SysStat.STATX_INO | SysStat.STATX_SIZE | SysStat.STATX_CTIME;
            return SysStat.statx(SysStat.AT_FDCWD, p, 0, mask, &result) == 0
                ? new FileStamp(result.stx_ino, result.stx_size, (result.stx_ctime.tv_sec * 1_000_000_000) + result.stx_ctime.tv_nsec)
                : null;
        }
    }
}
