using Keepalive.Linux.Files;
using Keepalive.Linux.Interop;
using Keepalive.Linux.Netlink;

namespace Keepalive.Linux.Namespaces;

/// <summary>Work done inside another network namespace (network_namespaces(7), setns(2)).</summary>
public static class NetworkNamespace
{
    /// <summary>Whether namespaces have cookies (SO_NETNS_COOKIE, Linux 5.14). Without, a socket's namespace is identified by its inode number, which takes
    /// CAP_NET_ADMIN over it.</summary>
    public static bool HaveCookies => s_cookies.Value;

    private static readonly Lazy<bool> s_cookies = new(static () =>
    {
        try
        {
            using var diag = SockDiag.Open();
            return diag.NamespaceCookie() != 0;
        }
        catch (LinuxException)
        {
            return false;   // no sock_diag, as under qemu-user or some seccomp profiles: who needs it says so
        }
    });

    /// <summary>Runs <paramref name="work"/> on a thread that enters the namespace and ends there, so that no other thread is moved.</summary>
    /// <param name="path">A namespace file: /proc/PID/ns/net, /run/netns/NAME.</param>
    /// <param name="work">The work. Descriptors that it opens stay in that namespace and keeps it alive until closed.</param>
    /// <exception cref="LinuxException">open (ENOENT: the process has gone) or setns (EPERM: CAP_SYS_ADMIN is missing) failed.</exception>
    public static T Run<T>(string path, Func<T> work) => OwnThread.Run(() =>
    {
        Enter(path);
        return work();
    });

    private static void Enter(string path)
    {
        using var file = FileDescriptor.TryOpen(path, Unistd.O_RDONLY, out var errno) ?? throw new LinuxException("open", errno);
        if (Sched.setns(file, Sched.CLONE_NEWNET) != 0)
        {
            throw LinuxException.Last("setns");
        }
    }
}
