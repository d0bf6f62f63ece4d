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

/// <summary>A connection that a rule selects, with its next probe. Times are in nanoseconds.</summary>
/// <param name="Row">Its values, rule and outcome.</param>
/// <param name="Workload">The workload it belongs to.</param>
/// <param name="IsUnprotected">Whether nothing probes it.</param>
/// <param name="NextProbe">The time to its next probe, and the length of the whole wait; null if none is due.</param>
/// <param name="EndsAfter">The unanswered probes after which the kernel ends it; null if its values are unknown.</param>
/// <param name="RoundTrip">Its round-trip time in microseconds; 0 if unknown.</param>
/// <param name="SinceSet">The time since the agent wrote to it; null if it did not.</param>
internal readonly record struct WatchedRow(
    ConnectionRow Row, string Workload, bool IsUnprotected, (long In, long Every)? NextProbe, int? EndsAfter, int RoundTrip, long? SinceSet);

/// <summary>Everything known of one connection. Times are in nanoseconds since 1970, and null if unknown.</summary>
/// <param name="Row">Its values, rule and outcome.</param>
/// <param name="Workload">The workload it belongs to.</param>
/// <param name="Backend">The backend behind the virtual address that it goes to; null if it goes to none, or the backend is unknown.</param>
/// <param name="EndsAfter">The unanswered probes after which the kernel ends it; null if its values are unknown.</param>
/// <param name="ProbedAt">When a probe was last sent.</param>
/// <param name="AnsweredAt">When a captured segment last answered.</param>
/// <param name="HeardAt">When the kernel last received something, by the last pass that read it.</param>
/// <param name="SilentSince">When the first of its unanswered probes was sent.</param>
/// <param name="IsInPool">Whether its remote endpoint is in the pool; null if it is no endpoint.</param>
/// <param name="IsCaptured">Whether packets are captured. If not, probes are known from the kernel's counts only.</param>
internal sealed record ConnectionDetail(
    ConnectionRow Row,
    string Workload,
    SocketEndpoint? Backend,
    int? EndsAfter,
    long? ProbedAt,
    long? AnsweredAt,
    long? HeardAt,
    long? SilentSince,
    bool? IsInPool,
    bool IsCaptured);
