using System.Text;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Files;

/// <summary>How many descriptors this process may have (getrlimit(2), RLIMIT_NOFILE).</summary>
public static unsafe class DescriptorLimit
{
    /// <summary>Descriptors that are kept for what the process cannot do without: reading /proc, answering, starting threads, which the runtime does not survive
    /// without any.</summary>
    public const int Reserve = 64;

    private static readonly Lazy<ulong> s_limit = new(static () =>
    {
        SysResource.rlimit_t limit;
        return SysResource.getrlimit(SysResource.RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : ulong.MaxValue;
    });

    /// <summary>The soft limit when this is first asked for.</summary>
    public static ulong Current => s_limit.Value;

    /// <summary>How many this process has open.</summary>
    public static int Open() => Directory.EnumerateFileSystemEntries("/proc/self/fd").Count() - 1;   // the listing's own

    /// <summary>Raises the soft limit to the hard one, which was set for the program: the soft one is low for the sake of select(2), which is not used here.
    /// A runtime that is compiled into the program does not do it.</summary>
    public static void Raise()
    {
        SysResource.rlimit_t limit;
        if (SysResource.getrlimit(SysResource.RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max)
        {
            limit.rlim_cur = limit.rlim_max;
            _ = SysResource.setrlimit(SysResource.RLIMIT_NOFILE, &limit);
        }
    }

    /// <summary>Whether it may have <paramref name="needed"/>. Where not, <paramref name="complaint"/> goes to standard error by write(2): the
    /// runtime's own console needs descriptors, and assemblies that need some to be loaded.</summary>
    /// <param name="needed">How many there must be.</param>
    /// <param name="complaint">Makes the message from how many there are.</param>
    public static bool Allows(ulong needed, Func<ulong, string> complaint)
    {
        ArgumentNullException.ThrowIfNull(complaint);
        SysResource.rlimit_t limit;
        if (SysResource.getrlimit(SysResource.RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed)
        {
            return true;
        }
        var text = Encoding.UTF8.GetBytes(complaint(limit.rlim_cur) + "\n");
        fixed (byte* p = text)
        {
            _ = Unistd.write(Unistd.STDERR_FILENO, p, (nuint)text.Length);
        }
        return false;
    }

    /// <summary>EMFILE for what is not opened, with what to do about it.</summary>
    public static LinuxException Exhausted() =>
        new($"of {s_limit.Value} file descriptors the last {Reserve} are kept, and what is left is shared out; raise the limit (ulimit -n, or LimitNOFILE= in the systemd unit)", Errno.EMFILE);

    /// <summary>Refuses a descriptor that is to be held for long, and is of the last ones: the kernel gives the lowest that is free.</summary>
    /// <exception cref="LinuxException">EMFILE: it has been closed.</exception>
    internal static void Admit(FileDescriptor descriptor)
    {
        if ((ulong)descriptor.Number + (ulong)Reserve >= s_limit.Value)
        {
            descriptor.Dispose();
            throw Exhausted();
        }
    }
}
