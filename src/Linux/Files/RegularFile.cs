using System.Text;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Files;

/// <summary>Tells files from what only looks like one: devices, pipes, sockets.</summary>
public static class RegularFile
{
    /// <summary>Whether a path leads to one, links followed; it is not opened, which of a pipe would wait for its other end.</summary>
    public static unsafe bool IsAt(string path)
    {
        SysStat.statx_t result;
        fixed (byte* p = Encoding.UTF8.GetBytes(path + '\0'))
        {
            return SysStat.statx(SysStat.AT_FDCWD, p, 0, SysStat.STATX_TYPE, &result) == 0 && (result.stx_mode & SysStat.S_IFMT) == SysStat.S_IFREG;
        }
    }
}
