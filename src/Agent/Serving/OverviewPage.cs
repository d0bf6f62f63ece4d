using System.Text.Json;
using Keepalive.Agent.Health;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Liveness;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Reports;
using Keepalive.Agent.Workloads;
using Microsoft.AspNetCore.Http;

namespace Keepalive.Agent.Serving;

/// <summary>The facts about the agent itself that a page shows.</summary>
/// <param name="Datapath">The datapath in use.</param>
/// <param name="Captures">Whether packets are captured.</param>
/// <param name="Interval">The time between two passes.</param>
internal sealed record AgentFacts(string Datapath, bool Captures, TimeSpan Interval);

/// <summary>The node's connections, added up, for <c>top</c>. Only the unix socket has this page.</summary>
/// <remarks>
/// Without a query the answer is a <see cref="NodeOverview"/>; with <c>workload</c> or <c>destination</c> it is a
/// <see cref="NodeConnections"/>. A later version may add properties. One that changes them gets a path of its own.
/// An overview looks at each connection under the lock that the capture needs, so it is made twice a second at most.
/// </remarks>
internal sealed class OverviewPage(
    AgentFacts facts, LivenessMonitor liveness, UnmanagedTally unmanaged, PolicyFigures policies, AgentHealth health, PodDirectory? pods, TimeProvider time)
{
    public const string Path = "/v1/overview";

    private static readonly TimeSpan s_fresh = TimeSpan.FromMilliseconds(500);

    private const long Millisecond = 1_000_000;

    private readonly Lock _lock = new();
    private byte[]? _made;
    private long _madeAt;

    /// <summary>Returns the answer as a line of JSON.</summary>
    public byte[] Answer(IQueryCollection query)
    {
        var (workload, destination) = ((string?)query["workload"], (string?)query["destination"]);
        if (workload is not null || destination is not null)
        {
            return JsonSerializer.SerializeToUtf8Bytes(Connections(workload, destination), OverviewJsonContext.Readable.NodeConnections);
        }
        lock (_lock)
        {
            if (_made is null || time.GetElapsedTime(_madeAt) >= s_fresh)
            {
                _made = JsonSerializer.SerializeToUtf8Bytes(Overview(), OverviewJsonContext.Readable.NodeOverview);
                _madeAt = time.GetTimestamp();
            }
            return _made;
        }
    }

    private NodeOverview Overview()
    {
        var (selected, events) = liveness.Summarize();
        var commands = new Dictionary<int, string?>();
        List<OverviewGroup> all = [.. selected.Select(group => Of(group, commands)), .. unmanaged.List().Select(Of)];
        var (groups, leftOut) = NodeOverview.Limit(all);
        var now = time.GetUtcNow();
        var report = health.Report();
        return new NodeOverview(
            NodeOverview.Version,
            BuildInformation.Version,
            Environment.MachineName,
            facts.Datapath,
            facts.Captures,
            policies.Now.InForce,
            health.SinceLastPass is { } age ? (long)age.TotalMilliseconds : null,
            (long)facts.Interval.TotalMilliseconds,
            null,
            null,
            report.Problems,
            groups,
            Out(now),
            [.. events.Select(Of)],
            leftOut);
    }

    private List<OverviewEndpoint> Out(DateTimeOffset now) =>
    [
        .. liveness.ListEndpoints().Where(static endpoint => !endpoint.IsIn).Take(NodeOverview.MostEndpoints).Select(endpoint => new OverviewEndpoint(
            endpoint.Remote.ToString(),
            endpoint.Policy,
            endpoint.Destination,
            Math.Max(0, now.ToUnixTimeMilliseconds() - (endpoint.OutSince / Millisecond)),
            endpoint.Connections,
            endpoint.Votes.Count(static vote => vote.Says == Vote.Out),
            endpoint.Votes.Count(static vote => vote.Says != Vote.Abstains))),
    ];

    private static OverviewGroup Of(GroupRow group, Dictionary<int, string?> commands) => new(
        group.Workload,
        Command(group.Pid, commands),
        group.HasMorePids,
        group.Rule.Policy,
        group.Rule.Destination,
        Accepted: false,
        group.Connections,
        group.Managed,
        group.Kept,
        group.Failed,
        group.Reason,
        group.Unprotected,
        group.Probing,
        group.Unanswered,
        group.EndsAfter,
        group.NextProbe?.In / Millisecond,
        group.NextProbe?.Every / Millisecond,
        Milliseconds(group.RoundTrip),
        group.RecentlySet);

    private OverviewGroup Of(UnmanagedTally.Row row) => new(
        Name(row.Workload), null, false, null, row.Destination, row.IsAccepted, row.Connections, 0, 0, 0, null, row.Unprotected, 0, 0, null, null, null, null, 0);

    private static OverviewEvent Of(EventRow row) => new(
        row.Key.Kind.ToString().ToLowerInvariant(),
        row.Ago / Millisecond,
        row.Count,
        row.Key.Workload,
        row.Key.Policy,
        row.Key.Destination,
        row.Key is { From: { } from, To: { } to } ? SocketText.Change(from, to)
            : row.Key.Cause switch
            {
                DeathCause.Probes => "probes were not answered",
                DeathCause.Reset => "it was reset by the other end",
                DeathCause.Timeout => "data was not acknowledged",
                _ => "",
            });

    private NodeConnections Connections(string? workload, string? destination)
    {
        var rows = liveness.ListConnections(workload, destination, NodeOverview.MostConnections, out var left);
        var commands = new Dictionary<int, string?>();
        return new NodeConnections(NodeOverview.Version, [.. rows.Select(row => Of(row, commands))], left);
    }

    private static OverviewConnection Of(WatchedRow watched, Dictionary<int, string?> commands)
    {
        var row = watched.Row;
        return new OverviewConnection(
            row.Namespace,
            row.Cookie,
            row.Local.ToString(),
            row.Remote.ToString(),
            watched.Workload,
            row.Pid == 0 ? null : row.Pid,
            Command(row.Pid, commands),
            row.Rule.Policy,
            row.Rule.Destination,
            row.Values?.Enabled,
            row.Values?.Time,
            row.Values?.Interval,
            row.Values?.Probes,
            JsonNamingPolicy.CamelCase.ConvertName(row.Outcome.ToString()),
            row.Reason,
            watched.IsUnprotected,
            row.Liveness.Unanswered,
            watched.EndsAfter,
            watched.NextProbe?.In / Millisecond,
            watched.NextProbe?.Every / Millisecond,
            Milliseconds(watched.RoundTrip),
            watched.SinceSet / Millisecond);
    }

    /// <summary>The name of a workload as policies and votes have it: a pod by its namespace and name.</summary>
    private string Name(string workload) => pods?.Find(workload) is { } pod ? $"{WorkloadName.Pod}{pod.Namespace}/{pod.Pod}" : workload;

    private static double? Milliseconds(int microseconds) => microseconds == 0 ? null : microseconds / 1000.0;

    private static string? Command(int pid, Dictionary<int, string?> known)
    {
        if (pid == 0)
        {
            return null;
        }
        if (!known.TryGetValue(pid, out var command))
        {
            known.Add(pid, command = ProcessName.Find(pid));
        }
        return command;
    }
}
