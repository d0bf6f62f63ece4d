using Keepalive.Linux.Netlink;

namespace Keepalive.Agent.Capture;

/// <summary>Receives the sockets that ended with unanswered probes or data. <see cref="DestroyWatch"/> calls it on its thread.</summary>
internal interface IDestroyListener
{
    /// <summary>Receives a socket of a namespace that is gone.</summary>
    void Destroyed(ulong inode, in DestroyedSocket socket);

    /// <summary>Receives the number of further sockets of a namespace that are gone. The kernel had no room to report them.</summary>
    /// <param name="inode">The namespace.</param>
    /// <param name="count">The number of these sockets.</param>
    void DestroyedUnreported(ulong inode, long count);
}
