using Keepalive.Agent.Sockets;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Liveness;

/// <summary>A remote endpoint of a destination at one moment. <paramref name="OutSince"/> is in nanoseconds since 1970. It has no meaning
/// if the endpoint is in the pool.</summary>
internal readonly record struct EndpointRow(
    string Policy, string Destination, SocketEndpoint Remote, SocketEndpoint? Front, bool IsIn, int Connections, long OutSince,
    IReadOnlyList<VoteRow> Votes);

/// <summary>The vote of a workload at one moment.</summary>
/// <param name="Workload">The workload.</param>
/// <param name="Says">Its vote.</param>
/// <param name="Connections">Its connections that count.</param>
/// <param name="Quiet">The time since something was last heard on them; null if never.</param>
/// <param name="Since">When the vote last changed, in nanoseconds since 1970; null if it never did.</param>
internal readonly record struct VoteRow(string Workload, Vote Says, int Connections, TimeSpan? Quiet, long? Since);

/// <summary>A connection that a rule selects at one moment.</summary>
internal readonly record struct ConnectionRow(
    ulong Namespace,
    ulong Cookie,
    SocketEndpoint Local,
    SocketEndpoint Remote,
    TcpState State,
    KeepaliveOptions? Values,
    ConnectionLiveness Liveness,
    int Pid,
    CompiledRule Rule,
    SocketOutcome Outcome,
    string? Reason,
    int UserTimeout);
