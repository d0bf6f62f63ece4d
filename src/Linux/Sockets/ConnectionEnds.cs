namespace Keepalive.Linux.Sockets;

/// <summary>A TCP connection by its two ends, as the socket of one of them has it.</summary>
/// <param name="Local">The socket's own end.</param>
/// <param name="Remote">The other one.</param>
public readonly record struct ConnectionEnds(SocketEndpoint Local, SocketEndpoint Remote);
