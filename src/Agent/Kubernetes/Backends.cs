using Keepalive.Linux;
using Keepalive.Linux.Namespaces;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Processes;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Kubernetes;

/// <summary>Finds the backends of connections to virtual addresses that kube-proxy translates. It reads the node's connection
/// tracking.</summary>
/// <remarks>
/// Only connections to cluster IPs are looked up. Without such connections, no descriptor is held. kube-proxy makes IPVS enter its
/// translation here too (net.ipv4.vs.conntrack). Load balancing in sockets (Cilium without kube-proxy) leaves no translation, because the
/// socket itself has the backend's address. The answer is then null, or that address.
/// </remarks>
internal sealed class Backends : IDisposable
{
    /// <summary>The network namespace of the node's first process.</summary>
    public const string NodeNamespace = "/proc/1/ns/net";

    /// <summary>The time until the next try after a failure: the kernel module may be loaded later.</summary>
    private static readonly TimeSpan s_tryAgain = TimeSpan.FromSeconds(60);

    private readonly string _namespace;
    private readonly TimeProvider _time;
    private Conntrack? _conntrack;
    private DateTimeOffset _tryAt;

    /// <param name="namespacePath">The path of the namespace whose connection tracking is read.</param>
    /// <param name="time">The clock.</param>
    public Backends(string namespacePath, TimeProvider time) => (_namespace, _time) = (namespacePath, time);

    /// <summary>The reason why backends are unavailable, and what to do about it; null if they are available.</summary>
    public string? Trouble { get; private set; }

    /// <summary>Looks up the backends of connections that sockets of the node have opened. Each takes some µs.</summary>
    /// <param name="connections">The connections, with the ends that their sockets show.</param>
    /// <param name="backends">Receives the backend of each connection. It is the destination itself if that is not translated. It is null
    /// if the node does not track the connection, or if backends are unavailable (<see cref="Trouble"/>).</param>
    public void Resolve(ReadOnlySpan<ConnectionEnds> connections, Span<SocketEndpoint?> backends)
    {
        backends = backends[..connections.Length];
        if (connections.IsEmpty || _time.GetUtcNow() < _tryAt || !TryOpen())
        {
            backends.Clear();
            return;
        }
        var errno = 0;
        try
        {
            errno = _conntrack!.TryFind(connections, backends);
        }
        catch (LinuxException e)
        {
            errno = e.Errno;
        }
        if (errno != 0)
        {
            backends.Clear();
            Fail(errno);
            return;
        }
        Trouble = null;
    }

    public void Dispose() => _conntrack?.Dispose();

    private bool TryOpen()
    {
        if (_conntrack is not null)
        {
            return true;
        }
        if (_namespace == NodeNamespace && !ProcFs.SeesWholeNode())
        {
            Fail("the node's processes are not visible (hostPID: true)");
            return false;
        }
        try
        {
            _conntrack = NetworkNamespace.Run(_namespace, Conntrack.Open);
            return true;
        }
        catch (LinuxException e)
        {
            Fail(e.Errno);
            return false;
        }
    }

    private void Fail(int errno) => Fail(errno switch
    {
        Errno.EPERM or Errno.EACCES => "not permitted: CAP_NET_ADMIN and, to enter the node's network namespace, CAP_SYS_ADMIN are needed",
        Errno.EPROTONOSUPPORT or Errno.EINVAL => "the kernel has no connection tracking over netlink (module nf_conntrack_netlink)",
        Errno.ETIMEDOUT => "connection tracking did not answer in time",
        _ => new LinuxException("conntrack", errno).Message,
    });

    private void Fail(string reason)
    {
        Trouble = $"Backends behind cluster IPs are unknown: {reason}. Connections are judged by their virtual address.";
        _tryAt = _time.GetUtcNow() + s_tryAgain;
        _conntrack?.Dispose();
        _conntrack = null;
    }
}
