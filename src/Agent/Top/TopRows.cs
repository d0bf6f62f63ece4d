using System.Globalization;
using Keepalive.Agent.Reports;
using Keepalive.Config;

namespace Keepalive.Agent.Top;

/// <summary>Makes the rows of the table. Every text in them is safe for a terminal: tenants choose the names.</summary>
internal static class TopRows
{
    public static IEnumerable<TopRow> Workloads(NodeOverview overview) =>
        overview.Groups.GroupBy(static group => group.Workload, StringComparer.Ordinal).Select(workload =>
        {
            List<OverviewGroup> groups = [.. workload];
            var destinations = groups.Select(Destination).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToList();
            return Sum(groups) with
            {
                Key = workload.Key,
                Name = Workload(workload.Key),
                Other = destinations.Count == 1 ? destinations[0] : $"{destinations.Count} destinations",
                Detail = Process(groups),
                Opens = new Focus(workload.Key, null),
            };
        });

    public static IEnumerable<TopRow> Destinations(NodeOverview overview)
    {
        var isOut = overview.Out.Select(static endpoint => (endpoint.Policy, endpoint.Destination)).ToHashSet();
        return overview.Groups.GroupBy(static group => (group.Destination, group.Policy, group.Accepted)).Select(destination =>
        {
            List<OverviewGroup> groups = [.. destination];
            var workloads = groups.Select(static group => group.Workload).Distinct(StringComparer.Ordinal).ToList();
            var row = Sum(groups);
            return row with
            {
                Key = $"{destination.Key.Destination}\n{destination.Key.Policy}\n{destination.Key.Accepted}",
                Name = Destination(groups[0]),
                Other = workloads.Count == 1 ? Workload(workloads[0]) : $"{workloads.Count} workloads",
                Detail = TerminalText.Escape(destination.Key.Policy ?? "-"),
                Trouble = destination.Key.Policy is { } policy && isOut.Contains((policy, destination.Key.Destination)) ? RowTrouble.Unanswered : row.Trouble,
                Opens = new Focus(null, destination.Key.Destination),
            };
        });
    }

    /// <summary>The connections one by one, and the connections that an agent only counts, because no policy selects them.</summary>
    public static IEnumerable<TopRow> Connections(NodeOverview overview, NodeConnections connections, Focus focus) =>
        connections.Connections.Select(Connection).Concat(overview.Agent is null ? [] : overview.Groups
            .Where(group => group.Policy is null && focus.Matches(group.Workload, group.Destination))
            .Select(static group => Sum([group]) with
            {
                Key = $"{group.Workload}\n{group.Destination}\n{group.Accepted}",
                Name = Counted.Of(group.Connections, "connection"),
                Other = Destination(group),
                Detail = "no policy",
                Set = null,
            }));

    private static TopRow Connection(OverviewConnection one) => new()
    {
        Key = string.Create(CultureInfo.InvariantCulture, $"{one.Netns}/{one.Cookie}"),
        Name = one.Local,
        Other = one.Remote,
        Detail = Values(one),
        Connections = 1,
        Unprotected = one.Unprotected ? 1 : 0,
        Unanswered = one.Unanswered,
        EndsAfter = one.EndsAfter,
        NextProbe = one.NextProbeMs,
        ProbeWait = one.ProbeWaitMs,
        RoundTrip = one.RttMs,
        Set = one.SetAgoMs / 1000,
        Why = one.Outcome is "failed" or "unreachable" ? "not set" : one.Unprotected ? one.Keepalive == true ? "too late" : "no keepalive" : null,
        Trouble = one.Unanswered > 0 ? RowTrouble.Unanswered : one.Unprotected || one.Outcome is "failed" or "unreachable" ? RowTrouble.Unprotected : RowTrouble.None,
    };

    private static string Values(OverviewConnection one)
    {
        var command = one.Command is { } name ? $"{TerminalText.Escape(name)} " : "";
        return command + one.Keepalive switch
        {
            true => string.Create(CultureInfo.InvariantCulture, $"{one.Time}s/{one.Interval}s/{one.Probes}"),
            false => "off",
            null => "?",
        };
    }

    private static TopRow Sum(List<OverviewGroup> groups)
    {
        var worst = groups.MaxBy(static group => group.Unanswered)!;
        var next = groups.Where(static group => group.NextProbeMs is not null).MinBy(static group => group.NextProbeMs);
        var failed = groups.Sum(static group => group.Failed);
        var unprotected = groups.Sum(static group => group.Unprotected);
        return new TopRow
        {
            Key = "",
            Name = "",
            Other = "",
            Detail = "",
            Connections = groups.Sum(static group => group.Connections),
            Unprotected = unprotected,
            Unanswered = worst.Unanswered,
            EndsAfter = worst.EndsAfter,
            NextProbe = next?.NextProbeMs,
            ProbeWait = next?.ProbeWaitMs,
            RoundTrip = groups.Max(static group => group.RttMs),
            Set = groups.Sum(static group => (long)group.RecentlySet),
            Why = failed > 0 ? $"{failed} not set" : unprotected > 0 ? "no keepalive" : null,
            Trouble = worst.Unanswered > 0 ? RowTrouble.Unanswered : unprotected > 0 || failed > 0 ? RowTrouble.Unprotected : RowTrouble.None,
        };
    }

    private static string Workload(string workload) => workload.Length == 0 ? "other workloads" : TerminalText.Escape(workload);

    private static string Destination(OverviewGroup group) =>
        group.Accepted ? $"accepted on {TerminalText.Escape(group.Destination)}" : TerminalText.Escape(group.Destination);

    private static string Process(List<OverviewGroup> groups)
    {
        var commands = groups.Select(static group => group.Command).OfType<string>().Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToList();
        return commands.Count switch
        {
            0 => "-",
            1 => TerminalText.Escape(commands[0]) + (groups.Exists(static group => group.MoreProcesses) ? " +" : ""),
            var many => $"{TerminalText.Escape(commands[0])} +{many - 1}",
        };
    }
}
