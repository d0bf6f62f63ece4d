using System.Text.Json;
using System.Text.Json.Serialization;

namespace Keepalive.Agent.Reports;

/// <summary>The node's connections, added up: what <c>top</c> shows. An agent serves it, or a survey makes it.</summary>
/// <param name="Api">The version of the form.</param>
/// <param name="Agent">The version of the agent; null if no agent answered.</param>
/// <param name="Node">The name of the machine.</param>
/// <param name="Datapath">The datapath that sets sockets; null without an agent.</param>
/// <param name="Captured">Whether packets are captured, so that answers to probes are seen.</param>
/// <param name="Policies">Policies in force; null without an agent.</param>
/// <param name="AgeMs">The time since the sockets were last looked at; null if they were not yet.</param>
/// <param name="EveryMs">The time between two looks.</param>
/// <param name="IdleTimeout">The seconds after which a device on the path forgets a connection, if connections are compared with it.</param>
/// <param name="Local">Connections within their network namespace, which are not among the groups; null if they are not counted.</param>
/// <param name="Problems">The problems of the agent or of the survey.</param>
/// <param name="Groups">The connections, by workload and destination.</param>
/// <param name="Out">The endpoints that are out of the pool.</param>
/// <param name="Events">The changes of the last minutes, the newest first.</param>
/// <param name="LeftOut">Connections that are counted in no group, because there are too many groups.</param>
internal sealed record NodeOverview(
    int Api,
    string? Agent,
    string? Node,
    string? Datapath,
    bool Captured,
    int? Policies,
    long? AgeMs,
    long EveryMs,
    double? IdleTimeout,
    int? Local,
    IReadOnlyList<string> Problems,
    IReadOnlyList<OverviewGroup> Groups,
    IReadOnlyList<OverviewEndpoint> Out,
    IReadOnlyList<OverviewEvent> Events,
    int LeftOut)
{
    /// <summary>The present version of the form.</summary>
    public const int Version = 1;

    /// <summary>The maximum number of groups.</summary>
    public const int MostGroups = 1000;

    /// <summary>The maximum number of endpoints out of the pool that are listed.</summary>
    public const int MostEndpoints = 200;

    /// <summary>The maximum number of connections that are listed one by one.</summary>
    public const int MostConnections = 500;

    /// <summary>Keeps the groups in trouble and the large ones. Returns them, and the number of connections in the others.</summary>
    public static (IReadOnlyList<OverviewGroup> Groups, int LeftOut) Limit(List<OverviewGroup> groups)
    {
        if (groups.Count <= MostGroups)
        {
            return (groups, 0);
        }
        List<OverviewGroup> kept =
        [
            .. groups.OrderByDescending(static group => group.Probing).ThenByDescending(static group => group.Unprotected)
                .ThenByDescending(static group => group.Connections).ThenBy(static group => group.Workload, StringComparer.Ordinal)
                .ThenBy(static group => group.Destination, StringComparer.Ordinal).Take(MostGroups),
        ];
        return (kept, groups.Sum(static group => group.Connections) - kept.Sum(static group => group.Connections));
    }
}

/// <summary>The connections of one workload to one destination.</summary>
/// <param name="Workload">The workload.</param>
/// <param name="Command">The command of one of its processes; null if unknown.</param>
/// <param name="MoreProcesses">Whether there are others.</param>
/// <param name="Policy">The policy that selects them; null if none does.</param>
/// <param name="Destination">The policy's destination, or an address with its port.</param>
/// <param name="Accepted">Whether they were accepted on this address rather than opened to it.</param>
/// <param name="Connections">All of them.</param>
/// <param name="Managed">Connections that have the policy's values.</param>
/// <param name="Kept">Connections that keep values of their application although a policy selects them.</param>
/// <param name="Failed">Connections that could not be set.</param>
/// <param name="Reason">Why they could not.</param>
/// <param name="Unprotected">Connections that nothing probes, or, compared with an idle timeout, not in time.</param>
/// <param name="Probing">Connections with unanswered probes.</param>
/// <param name="Unanswered">The most unanswered probes of one of them.</param>
/// <param name="EndsAfter">The unanswered probes after which the kernel ends that one.</param>
/// <param name="NextProbeMs">The time to the earliest next probe; null if none is due.</param>
/// <param name="ProbeWaitMs">The length of the whole wait for it.</param>
/// <param name="RttMs">The longest round-trip time.</param>
/// <param name="RecentlySet">Connections that were set in the last five minutes.</param>
internal sealed record OverviewGroup(
    string Workload,
    string? Command,
    bool MoreProcesses,
    string? Policy,
    string Destination,
    bool Accepted,
    int Connections,
    int Managed,
    int Kept,
    int Failed,
    string? Reason,
    int Unprotected,
    int Probing,
    int Unanswered,
    int? EndsAfter,
    long? NextProbeMs,
    long? ProbeWaitMs,
    double? RttMs,
    int RecentlySet);

/// <summary>An endpoint that is out of the pool.</summary>
/// <param name="Endpoint">Its address.</param>
/// <param name="Policy">The policy.</param>
/// <param name="Destination">The destination.</param>
/// <param name="SinceMs">How long it has been out.</param>
/// <param name="Connections">The connections to it.</param>
/// <param name="VotesOut">Workloads that vote against it.</param>
/// <param name="Votes">All workloads with a vote, without those that abstain.</param>
internal sealed record OverviewEndpoint(string Endpoint, string Policy, string Destination, long SinceMs, int Connections, int VotesOut, int Votes);

/// <summary>A change of the last minutes.</summary>
/// <param name="Kind"><c>set</c>, <c>restored</c> or <c>dead</c>.</param>
/// <param name="AgoMs">The time since it happened.</param>
/// <param name="Count">The number of connections.</param>
/// <param name="Workload">Their workload.</param>
/// <param name="Policy">Their policy.</param>
/// <param name="Destination">Their destination.</param>
/// <param name="Text">Old and new values, or the cause.</param>
internal sealed record OverviewEvent(string Kind, long AgoMs, int Count, string Workload, string? Policy, string? Destination, string Text);

/// <summary>Connections of one workload, or to one destination, those in trouble first.</summary>
/// <param name="Api">The version of the form.</param>
/// <param name="Connections">The connections.</param>
/// <param name="LeftOut">The number of those that are not listed.</param>
internal sealed record NodeConnections(int Api, IReadOnlyList<OverviewConnection> Connections, int LeftOut);

/// <summary>One connection.</summary>
/// <param name="Netns">Its network namespace.</param>
/// <param name="Cookie">The kernel's identity of it.</param>
/// <param name="Local">Its local end.</param>
/// <param name="Remote">Its remote end.</param>
/// <param name="Workload">Its workload.</param>
/// <param name="Pid">A process that has it; null if unknown.</param>
/// <param name="Command">The command of that process; null if unknown.</param>
/// <param name="Policy">The policy that selects it; null if none does.</param>
/// <param name="Destination">The policy's destination, or its remote end.</param>
/// <param name="Keepalive">Whether it has keepalive; null if unknown.</param>
/// <param name="Time">Seconds before the first probe.</param>
/// <param name="Interval">Seconds between two unanswered probes.</param>
/// <param name="Probes">Unanswered probes that end it.</param>
/// <param name="Outcome">The outcome of the policy; null without one.</param>
/// <param name="Reason">Why the policy is not applied.</param>
/// <param name="Unprotected">Whether nothing probes it, or, compared with an idle timeout, not in time.</param>
/// <param name="Unanswered">Its unanswered probes.</param>
/// <param name="EndsAfter">The unanswered probes after which the kernel ends it.</param>
/// <param name="NextProbeMs">The time to its next probe; null if none is due.</param>
/// <param name="ProbeWaitMs">The length of the whole wait for it.</param>
/// <param name="RttMs">Its round-trip time.</param>
/// <param name="SetAgoMs">The time since the agent wrote to it; null if it did not.</param>
internal sealed record OverviewConnection(
    ulong Netns,
    ulong Cookie,
    string Local,
    string Remote,
    string Workload,
    int? Pid,
    string? Command,
    string? Policy,
    string Destination,
    bool? Keepalive,
    int? Time,
    int? Interval,
    int? Probes,
    string? Outcome,
    string? Reason,
    bool Unprotected,
    int Unanswered,
    int? EndsAfter,
    long? NextProbeMs,
    long? ProbeWaitMs,
    double? RttMs,
    long? SetAgoMs);

[JsonSerializable(typeof(NodeOverview))]
[JsonSerializable(typeof(NodeConnections))]
internal sealed partial class OverviewJsonContext : JsonSerializerContext
{
    public static OverviewJsonContext Readable { get; } = new(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        Encoder = AgentJson.Encoder,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    });
}
