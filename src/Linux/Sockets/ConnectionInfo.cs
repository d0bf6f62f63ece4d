namespace Keepalive.Linux.Sockets;

/// <summary>The state of a connection at one moment, as the kernel reports it (TCP_INFO).</summary>
/// <param name="State">Its state.</param>
/// <param name="Unanswered">The number of unanswered probes.</param>
/// <param name="IsSending">Whether data is unacknowledged or waits to be sent. The kernel then sends no probes.</param>
/// <param name="Idle">Milliseconds since anything was received, as keepalive counts them.</param>
public readonly record struct ConnectionInfo(TcpState State, int Unanswered, bool IsSending, uint Idle);
