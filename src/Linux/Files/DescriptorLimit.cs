using System.Text;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Files;

/// <summary>How many descriptors this process may have (getrlimit(2), RLIMIT_NOFILE; the runtime raises the soft limit to the hard one).</summary>
public static unsafe class DescriptorLimit
{
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
}
