using Keepalive.Agent.Apply.Tracking;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>A socket to decide about after the whole namespace was read: its rule may depend on other sockets there.</summary>
/// <param name="Socket">The socket.</param>
/// <param name="Values">Its values.</param>
/// <param name="IsProbing">Whether it has unanswered probes.</param>
internal readonly record struct PendingDecision(TrackedSocket Socket, FoundValues Values, bool IsProbing);

/// <summary>The values of sockets, as they were read. A start reads all sockets of the node, and most of them have the same: they refer to one object.</summary>
/// <param name="Current">Their values.</param>
/// <param name="Untouched">The values of a new socket of their namespace; null if unknown.</param>
internal sealed record FoundValues(KeepaliveOptions Current, KeepaliveOptions? Untouched);
