using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Liveness;

/// <summary>Whether a far end of a destination is to be used.</summary>
internal readonly record struct EndpointStanding(string Policy, string Destination, SocketEndpoint Remote, bool IsIn);
