using System.Text;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Files;

/// <summary>How many descriptors this process may have (getrlimit(2), RLIMIT_NOFILE; the runtime raises the soft limit to the hard one).</summary>
public static unsafe class DescriptorLimit
{
    /// <summary>Descriptors that are kept for what the process cannot do without: reading /proc, answering, starting threads, which the runtime does not survive
    /// without any.</summary>
    private const ulong Reserve = 64;

    private static readonly Lazy<ulong> s_limit = new(static () =>
    {
        SysResource.rlimit_t limit;
        return SysResource.getrlimit(SysResource.RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : ulong.MaxValue;
    });

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

    /// <summary>Refuses a descriptor that is to be held for long, and is of the last ones: the kernel gives the lowest that is free.</summary>
    /// <exception cref="LinuxException">EMFILE: it has been closed.</exception>
    internal static void Admit(FileDescriptor descriptor)
    {
        if ((ulong)descriptor.Number + Reserve >= s_limit.Value)
        {
            descriptor.Dispose();
            throw new LinuxException($"of {s_limit.Value} file descriptors the last {Reserve} are kept; raise the limit (ulimit -n, or LimitNOFILE= in the systemd unit)", Errno.EMFILE);
        }
    }
}
