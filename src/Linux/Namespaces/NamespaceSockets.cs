using Keepalive.Linux.Netlink;

namespace Keepalive.Linux.Namespaces;

/// <summary>What is held open of one network namespace to watch its TCP sockets. It keeps the namespace alive until disposed.</summary>
public sealed class NamespaceSockets : IDisposable
{
    private NamespaceSockets(SockDiag diag, TcpCounters counters)
    {
        Diag = diag;
        Counters = counters;
    }

    public SockDiag Diag { get; }

    public TcpCounters Counters { get; }

    /// <summary>Opens both inside the namespace named by <paramref name="path"/>.</summary>
    /// <exception cref="LinuxException">As <see cref="NetworkNamespace.Run"/>; ENOENT and ESRCH when its process has just gone.</exception>
    public static NamespaceSockets Open(string path) => NetworkNamespace.Run(path, static () =>
    {
        var diag = SockDiag.Open();
        try
        {
            return new NamespaceSockets(diag, TcpCounters.Open());
        }
        catch
        {
            diag.Dispose();
            throw;
        }
    });

    public void Dispose()
    {
        Diag.Dispose();
        Counters.Dispose();
    }
}
