using Keepalive.Linux.Sockets;

namespace Keepalive.Linux.Netlink;

/// <summary>A TCP socket that is gone, and what was unanswered at its end.</summary>
/// <param name="Cookie">Its identity (SO_COOKIE), as in <see cref="DiagnosedSocket.Cookie"/>.</param>
/// <param name="Local">Its own end.</param>
/// <param name="Remote">The other end.</param>
/// <param name="State">The state in which it was destroyed, <see cref="TcpState.Close"/> as a rule.</param>
/// <param name="Probes">The number of unanswered probes. Without retransmissions, keepalive ended the connection. There are then
/// TCP_KEEPCNT of them, or at least one if TCP_USER_TIMEOUT is set.</param>
/// <param name="Retransmits">The number of times that the retransmission timer expired. If it did, the kernel gave up sending data, or
/// sending the FIN of an application that had closed the socket before.</param>
/// <remarks>An application that aborts a live connection (SO_LINGER with 0) or disconnects its socket resets both numbers.</remarks>
public readonly record struct DestroyedSocket(ulong Cookie, SocketEndpoint Local, SocketEndpoint Remote, TcpState State, byte Probes, byte Retransmits);
