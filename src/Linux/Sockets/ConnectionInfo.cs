namespace Keepalive.Linux.Sockets;

/// <summary>What the kernel says of a connection at one moment (TCP_INFO).</summary>
/// <param name="State">Its state.</param>
/// <param name="Unanswered">Probes sent without an answer.</param>
/// <param name="IsSending">Whether data is unacknowledged or waits to be sent: then nothing is probed.</param>
/// <param name="Idle">Milliseconds since anything was received, by the clock of keepalive.</param>
public readonly record struct ConnectionInfo(TcpState State, int Unanswered, bool IsSending, uint Idle);
