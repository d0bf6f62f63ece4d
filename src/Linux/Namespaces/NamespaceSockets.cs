using Keepalive.Linux.Files;
using Keepalive.Linux.Interop;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Processes;
using Keepalive.Linux.Sockets;

namespace Keepalive.Linux.Namespaces;

/// <summary>The descriptors that are held for one network namespace to watch its TCP sockets. It keeps the namespace alive until
/// disposed.</summary>
public sealed class NamespaceSockets : IDisposable
{
    private const string OwnPath = "/proc/thread-self/ns/net";

    private NamespaceSockets(ulong inode, SockDiag diag, TcpCounters counters)
    {
        Identity = new NamespaceIdentity(inode, diag.NamespaceCookie());
        IsOfOwnUserNamespace = UserNamespace() == ProcFs.Inode("/proc/thread-self/ns/user");
        Diag = diag;
        Counters = counters;
    }

    /// <summary>The namespace that was really entered.</summary>
    public NamespaceIdentity Identity { get; }

    /// <summary>Its inode number.</summary>
    public ulong Inode => Identity.Inode;

    /// <summary>Whether it was made in this process's user namespace, by an administrator or for one. A namespace that a user makes without
    /// privileges is in another user namespace.</summary>
    public bool IsOfOwnUserNamespace { get; }

    public SockDiag Diag { get; }

    public TcpCounters Counters { get; }

    /// <summary>Opens both inside the namespace named by <paramref name="path"/>.</summary>
    /// <exception cref="LinuxException">As <see cref="NetworkNamespace.Run"/>; ENOENT and ESRCH when its process has just gone.</exception>
    public static NamespaceSockets Open(string path) => NetworkNamespace.Run(path, static () =>
    {
        var diag = SockDiag.Open();
        try
        {
            return new NamespaceSockets(ProcFs.Inode(OwnPath), diag, TcpCounters.Open());
        }
        catch
        {
            diag.Dispose();
            throw;
        }
    });

    /// <summary>Opens the namespace's connection tracking.</summary>
    /// <exception cref="LinuxException">As <see cref="Enter"/> and <see cref="Conntrack.Open"/>.</exception>
    public Conntrack OpenConntrack() => OwnThread.Run(() =>
    {
        Enter();
        return Conntrack.Open();
    });

    /// <summary>Moves the calling thread into the namespace. The thread must not be used for anything else.</summary>
    /// <exception cref="LinuxException">EPERM: CAP_NET_ADMIN or CAP_SYS_ADMIN over the namespace is missing.</exception>
    internal void Enter()
    {
        using var file = Diag.OpenNamespace();
        if (Sched.setns(file, Sched.CLONE_NEWNET) != 0)
        {
            throw LinuxException.Last("setns");
        }
    }

    /// <summary>Returns the inode number of the user namespace that owns the calling thread's network namespace; 0 if it is not a
    /// descendant of this process's.</summary>
    private static ulong UserNamespace()
    {
        using var file = FileDescriptor.TryOpen(OwnPath, Unistd.O_RDONLY, out _);
        var owner = file is null ? -1 : SysIoctl.ioctl(file, SysIoctl.NS_GET_USERNS);
        if (owner < 0)
        {
            return 0;
        }
        using var descriptor = new FileDescriptor(owner);
        return ProcFs.Inode($"/proc/thread-self/fd/{owner}");
    }

    public void Dispose()
    {
        Diag.Dispose();
        Counters.Dispose();
    }
}
