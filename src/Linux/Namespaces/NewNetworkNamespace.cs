using System.Globalization;
using Keepalive.Linux.Files;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Namespaces;

/// <summary>A network namespace without a name, which this process has made and which goes away with it.</summary>
public sealed class NewNetworkNamespace : IDisposable
{
    private readonly FileDescriptor _file;

    private NewNetworkNamespace(FileDescriptor file) => _file = file;

    /// <summary>A file that setns(2) takes, by this process and by others that may look into it.</summary>
    public string Path => string.Create(CultureInfo.InvariantCulture, $"/proc/{Environment.ProcessId}/fd/{_file.Number}");

    /// <summary>Makes one, with nothing in it but a loopback interface that is down.</summary>
    /// <exception cref="LinuxException">unshare failed: EPERM without CAP_SYS_ADMIN, ENOSPC at the limit user.max_net_namespaces.</exception>
    public static NewNetworkNamespace Create() => OwnThread.Run(() =>
    {
        if (Sched.unshare(Sched.CLONE_NEWNET) != 0)
        {
            throw LinuxException.Last("unshare");
        }
        return new NewNetworkNamespace(
            FileDescriptor.TryOpen("/proc/thread-self/ns/net", Unistd.O_RDONLY, out var errno) ?? throw new LinuxException("open", errno));
    });

    /// <summary>Runs <paramref name="work"/> on a thread inside it. Processes started there stay inside.</summary>
    public T Run<T>(Func<T> work) => NetworkNamespace.Run(Path, work);

    public void Dispose() => _file.Dispose();
}
