using Keepalive.Linux.Sockets;

namespace Keepalive.Linux.Netlink;

/// <summary>A TCP socket of a namespace, as it is asked for.</summary>
/// <param name="Cookie">The kernel's identity of it.</param>
/// <param name="Local">Its own end.</param>
/// <param name="Remote">Its other end.</param>
public readonly record struct SocketIdentity(ulong Cookie, SocketEndpoint Local, SocketEndpoint Remote);
