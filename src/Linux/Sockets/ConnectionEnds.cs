namespace Keepalive.Linux.Sockets;

/// <summary>The two ends of a TCP connection, as the socket at one of them shows them.</summary>
/// <param name="Local">The socket's own end.</param>
/// <param name="Remote">The other end.</param>
public readonly record struct ConnectionEnds(SocketEndpoint Local, SocketEndpoint Remote);
