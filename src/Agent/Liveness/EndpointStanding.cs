using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Liveness;

/// <summary>Whether a remote endpoint of a destination is in the pool.</summary>
internal readonly record struct EndpointStanding(string Policy, string Destination, SocketEndpoint Remote, bool IsIn);
