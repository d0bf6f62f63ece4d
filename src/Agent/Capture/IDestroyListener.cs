using Keepalive.Linux.Netlink;

namespace Keepalive.Agent.Capture;

/// <summary>Takes the sockets that ended with something unanswered. Called on the thread of <see cref="DestroyWatch"/>.</summary>
internal interface IDestroyListener
{
    /// <summary>A socket of a namespace is gone.</summary>
    void Destroyed(ulong inode, in DestroyedSocket socket);

    /// <summary>There were others of a namespace, which the kernel had no room to report.</summary>
    /// <param name="inode">The namespace.</param>
    /// <param name="count">How many more.</param>
    void DestroyedUnreported(ulong inode, long count);
}
