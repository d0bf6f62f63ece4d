using Keepalive.Agent.Apply.Tracking;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>A socket to decide about after the whole namespace was read: its rule may depend on other sockets there.</summary>
/// <param name="Socket">The socket.</param>
/// <param name="Current">Its values.</param>
/// <param name="Untouched">The values of a new socket of its namespace; null if unknown.</param>
/// <param name="IsProbing">Whether it has unanswered probes.</param>
internal readonly record struct PendingDecision(TrackedSocket Socket, KeepaliveOptions Current, KeepaliveOptions? Untouched, bool IsProbing);
