using Keepalive.Linux.Sockets;

namespace Keepalive.Linux.Netlink;

/// <summary>A TCP socket that is gone, and what was unanswered at its end.</summary>
/// <param name="Cookie">Its identity (SO_COOKIE), as in <see cref="DiagnosedSocket.Cookie"/>.</param>
/// <param name="Local">Its own end.</param>
/// <param name="Remote">The other end.</param>
/// <param name="State">The state it was destroyed in, <see cref="TcpState.Close"/> as a rule.</param>
/// <param name="Probes">Probes that nothing has answered. Without retransmissions keepalive ended it: there are TCP_KEEPCNT of them, or under TCP_USER_TIMEOUT one at
/// least.</param>
/// <param name="Retransmits">Times that the retransmission timer ran out. Where there are any the kernel gave up data, or the FIN of an application that had closed the socket
/// before.</param>
/// <remarks>An application that aborts a live connection (SO_LINGER with 0) or disconnects its socket resets both numbers.</remarks>
public readonly record struct DestroyedSocket(ulong Cookie, SocketEndpoint Local, SocketEndpoint Remote, TcpState State, byte Probes, byte Retransmits);
