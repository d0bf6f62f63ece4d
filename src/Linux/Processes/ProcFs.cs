using System.Buffers.Text;
using System.IO.Enumeration;
using System.Text;
using System.Text.Unicode;
using Keepalive.Linux.Files;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Processes;

/// <summary>Facts about other processes from /proc (proc(5)). A process that has gone is an answer, not an error.</summary>
public static class ProcFs
{
    private static readonly EnumerationOptions s_plain = new() { IgnoreInaccessible = true, AttributesToSkip = 0 };

    /// <summary>Whether /proc is there, and this process in it.</summary>
    public static bool IsMounted => Inode("/proc/self/ns/net") != 0;

    /// <summary>Appends the ids of all processes that this /proc shows, in no particular order.</summary>
    public static void ListProcesses(List<int> into)
    {
        var entries = new FileSystemEnumerable<int>("/proc", static (ref FileSystemEntry e) => int.Parse(e.FileName), s_plain)
        {
            ShouldIncludePredicate = static (ref FileSystemEntry e) => e.FileName[0] is >= '1' and <= '9' && int.TryParse(e.FileName, out _),
        };
        into.AddRange(entries);
    }

    /// <summary>The inode number of a process's network namespace; needs CAP_SYS_PTRACE for processes of other users.</summary>
    /// <returns>0, or ENOENT or ESRCH when the process has gone, EACCES or EPERM when it may not be looked at.</returns>
    public static int TryGetNetworkNamespace(int pid, out ulong inode) => TryGetNamespace(pid, "net"u8, out inode);

    /// <summary>Whether this /proc shows every process of the machine: its PID namespace is the first one
    /// (include/linux/proc_ns.h, PROC_PID_INIT_INO).</summary>
    public static bool SeesWholeNode() => Inode("/proc/self/ns/pid") == 0xEFFFFFFC;

    /// <summary>Whether this process is in the first user namespace (include/linux/proc_ns.h, PROC_USER_INIT_INO): capabilities that it has
    /// in another count only for what belongs to that.</summary>
    public static bool IsInInitialUserNamespace() => Inode("/proc/self/ns/user") == 0xEFFFFFFD;

    /// <summary>Returns the inode number of the network namespace of the node itself, which is that of process 1. If it cannot be read,
    /// returns that of this process.</summary>
    public static ulong NodesNetworkNamespace() => Inode("/proc/1/ns/net") is var inode and not 0 ? inode : Inode("/proc/self/ns/net");

    /// <summary>The path that names a process's network namespace to setns(2).</summary>
    public static string NetworkNamespacePath(int pid) => $"/proc/{pid}/ns/net";

    /// <summary>The size of a process's descriptor table: every descriptor number in use is below it; 0 when the process has gone, and for
    /// kernel threads and zombies, which have none.</summary>
    public static int DescriptorTableSize(int pid)
    {
        Span<byte> buffer = stackalloc byte[4096];
        var text = Read($"/proc/{pid}/status", buffer);
        if (text.Length < buffer.Length && text.IndexOf("\nVmPeak:"u8) < 0)
        {
            return 0;
        }
        var at = text.IndexOf("\nFDSize:"u8);
        return at >= 0 && Utf8Parser.TryParse(text[(at + 8)..].TrimStart("\t "u8), out int size, out _) ? size : 0;
    }

    /// <summary>The real user id of a process in this process's user namespace, which the owner of its files in /proc is only as long as it
    /// lets itself be dumped (prctl(2), PR_SET_DUMPABLE); null when it has gone.</summary>
    public static uint? RealUserId(int pid)
    {
        Span<byte> buffer = stackalloc byte[4096];
        var text = Read($"/proc/{pid}/status", buffer);
        var at = text.IndexOf("\nUid:"u8);
        return at >= 0 && Utf8Parser.TryParse(text[(at + 5)..].TrimStart("\t "u8), out uint uid, out _) ? uid : null;
    }

    /// <summary>Whether two processes have one descriptor table between them (kcmp(2), KCMP_FILES); false if unknown.</summary>
    public static bool ShareDescriptors(int one, int other) => LinuxKcmp.kcmp(one, other, LinuxKcmp.KCMP_FILES, 0, 0) == 0;

    /// <summary>The command name (at most 15 bytes), null when the process has gone.</summary>
    public static string? Command(int pid)
    {
        Span<byte> buffer = stackalloc byte[64];
        var text = Read($"/proc/{pid}/comm", buffer);
        return text.IsEmpty ? null : Encoding.UTF8.GetString(text.TrimEnd((byte)'\n'));
    }

    /// <summary>The instant a process began, in clock ticks after boot: with the id it names the process; 0 when it has gone.</summary>
    public static ulong StartTime(int pid)
    {
        Span<byte> buffer = stackalloc byte[1024];
        var text = Read($"/proc/{pid}/stat", buffer);
        // The command may hold spaces and parentheses; what follows the last ")" is field 3.
        var rest = text[(text.LastIndexOf((byte)')') + 1)..];
        for (var field = 2; field < 22; field++)
        {
            var space = rest.IndexOf((byte)' ');
            if (space < 0)
            {
                return 0;
            }
            rest = rest[(space + 1)..];
        }
        return Utf8Parser.TryParse(rest, out ulong ticks, out _) ? ticks : 0;
    }

    /// <summary>The cgroups of a process as /proc/PID/cgroup has them, a line for each hierarchy; null when the process has gone.</summary>
    public static string? Cgroup(int pid)
    {
        Span<byte> buffer = stackalloc byte[4096];
        var text = Read($"/proc/{pid}/cgroup", buffer);
        return text.IsEmpty ? null : Encoding.UTF8.GetString(text);
    }

    /// <summary>The path of a process's cgroup in the version 2 hierarchy, null when there is none.</summary>
    public static string? Cgroup2Path(int pid)
    {
        Span<byte> buffer = stackalloc byte[4096];
        var text = Read($"/proc/{pid}/cgroup", buffer);
        while (!text.IsEmpty)
        {
            var end = text.IndexOf((byte)'\n');
            var line = end < 0 ? text : text[..end];
            if (line.StartsWith("0::"u8))
            {
                return Encoding.UTF8.GetString(line[3..]);
            }
            text = end < 0 ? default : text[(end + 1)..];
        }
        return null;
    }

    /// <summary>The inode number of the socket that is descriptor <paramref name="number"/> of a process, as sock_diag shows it, without
    /// opening or duplicating it; 0 if it is no socket, null if it is not open.</summary>
    /// <remarks>
    /// Only the kernel is asked: the server of a FUSE file may never answer. The number alone does not prove which socket it is: a descriptor
    /// opened with O_PATH shows the inode of a socket's file, and numbers are used again.
    /// </remarks>
    public static ulong? SocketInode(int pid, int number)
    {
        Span<byte> path = stackalloc byte[48];
        Utf8.TryWrite(path, $"/proc/{pid}/fd/{number}\0", out _);
        return SocketInode(SysStat.AT_FDCWD, path);
    }

    internal static unsafe ulong? SocketInode(int directory, ReadOnlySpan<byte> path)
    {
        SysStat.statx_t result;
        fixed (byte* p = path)
        {
            if (SysStat.statx(directory, p, SysStat.AT_STATX_DONT_SYNC, 0, &result) != 0)
            {
                return System.Runtime.InteropServices.Marshal.GetLastPInvokeError() == Errno.ENOENT ? null : 0;
            }
            return (result.stx_mode & SysStat.S_IFMT) == SysStat.S_IFSOCK ? result.stx_ino : 0;
        }
    }

    /// <summary>The inode number of a file (the id of a cgroup, when it is a cgroup's directory); 0 when there is none.</summary>
    public static unsafe ulong Inode(string path)
    {
        SysStat.statx_t result;
        fixed (byte* p = Encoding.UTF8.GetBytes(path + '\0'))
        {
            return SysStat.statx(SysStat.AT_FDCWD, p, 0, SysStat.STATX_INO, &result) == 0 ? result.stx_ino : 0;
        }
    }

    private static unsafe int TryGetNamespace(int pid, ReadOnlySpan<byte> kind, out ulong inode)
    {
        inode = 0;
        Span<byte> path = stackalloc byte[48];
        Utf8.TryWrite(path, $"/proc/{pid}/ns/", out var length);
        kind.CopyTo(path[length..]);
        path[length + kind.Length] = 0;
        Span<byte> target = stackalloc byte[64];
        fixed (byte* p = path)
        fixed (byte* t = target)
        {
            var n = (int)Unistd.readlink(p, t, (nuint)target.Length);
            if (n < 0)
            {
                return System.Runtime.InteropServices.Marshal.GetLastPInvokeError();
            }
            // "net:[4026531840]"
            var digits = target[..n];
            digits = digits[(digits.IndexOf((byte)'[') + 1)..];
            return Utf8Parser.TryParse(digits, out inode, out _) ? 0 : Errno.EINVAL;
        }
    }

    private static ReadOnlySpan<byte> Read(string path, Span<byte> buffer)
    {
        using var file = FileDescriptor.TryOpen(path, Unistd.O_RDONLY, out _);
        var n = file?.Read(buffer, 0) ?? 0;
        return buffer[..Math.Max(0, n)];
    }
}
