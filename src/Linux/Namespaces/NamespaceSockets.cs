using Keepalive.Linux.Interop;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Processes;
using Keepalive.Linux.Sockets;

namespace Keepalive.Linux.Namespaces;

/// <summary>The descriptors that are held of one network namespace to watch its TCP sockets. It keeps the namespace alive until disposed.</summary>
public sealed class NamespaceSockets : IDisposable
{
    private NamespaceSockets(ulong inode, SockDiag diag, TcpCounters counters)
    {
        Identity = new NamespaceIdentity(inode, diag.NamespaceCookie());
        Diag = diag;
        Counters = counters;
    }

    /// <summary>The namespace that was really entered.</summary>
    public NamespaceIdentity Identity { get; }

    /// <summary>Its inode number.</summary>
    public ulong Inode => Identity.Inode;

    public SockDiag Diag { get; }

    public TcpCounters Counters { get; }

    /// <summary>Opens both inside the namespace named by <paramref name="path"/>.</summary>
    /// <exception cref="LinuxException">As <see cref="NetworkNamespace.Run"/>; ENOENT and ESRCH when its process has just gone.</exception>
    public static NamespaceSockets Open(string path) => NetworkNamespace.Run(path, static () =>
    {
        var diag = SockDiag.Open();
        try
        {
            return new NamespaceSockets(ProcFs.Inode("/proc/thread-self/ns/net"), diag, TcpCounters.Open());
        }
        catch
        {
            diag.Dispose();
            throw;
        }
    });

    /// <summary>Moves the calling thread, which must be one that stays away from everything else, into the namespace.</summary>
    /// <exception cref="LinuxException">EPERM: CAP_NET_ADMIN or CAP_SYS_ADMIN over the namespace is missing.</exception>
    internal void Enter()
    {
        using var file = Diag.OpenNamespace();
        if (Sched.setns(file, Sched.CLONE_NEWNET) != 0)
        {
            throw LinuxException.Last("setns");
        }
    }

    public void Dispose()
    {
        Diag.Dispose();
        Counters.Dispose();
    }
}
