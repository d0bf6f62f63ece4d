using Keepalive.Agent.Reports;
using Keepalive.Agent.Top;

namespace Keepalive.Agent.Tests.Top;

/// <summary>Data of a node for the tests of the view.</summary>
internal static class Overviews
{
    public static OverviewGroup Group(string workload, string destination, int connections = 1) => new(
        workload, "curl", false, "shop/keepalive", destination, false, connections, connections, 0, 0, null, 0, 0, 0, null, 30_000, 60_000, 1.2, 0);

    public static OverviewGroup Unprotected(string workload, string destination, int connections) =>
        Group(workload, destination, connections) with { Policy = null, Managed = 0, Unprotected = connections, NextProbeMs = null, ProbeWaitMs = null, RttMs = null };

    public static OverviewGroup Probing(string workload, string destination, int unanswered) =>
        Group(workload, destination) with { Probing = 1, Unanswered = unanswered, EndsAfter = 4 };

    public static NodeOverview Of(params OverviewGroup[] groups) => new(
        NodeOverview.Version, "0.1.0+0123456789ab", "node-1", "bpf", true, 3, 400, 5000, null, null, [], groups, [], [], 0);

    public static NodeSnapshot Snapshot(params OverviewGroup[] groups) => new(Of(groups), null, null, null, 0);

    public static NodeSnapshot With(this NodeSnapshot snapshot, Focus focus, params OverviewConnection[] connections) =>
        snapshot with { Focus = focus, Connections = new NodeConnections(NodeOverview.Version, connections, 0) };

    public static OverviewConnection Connection(ulong cookie, string local, string remote) => new(
        4026531840, cookie, local, remote, "unit:a.service", 12, "curl", "shop/keepalive", "ratings", true, 60, 10, 4, "managed", null, false, 0, 4, 30_000, 60_000, 1.2, 75_000);

    public static TopModel Show(NodeSnapshot snapshot)
    {
        var model = new TopModel();
        model.Show(snapshot);
        return model;
    }

    public static void Press(this TopModel model, params IEnumerable<char> keys)
    {
        foreach (var key in keys)
        {
            model.Press(new ConsoleKeyInfo(key, default, char.IsUpper(key), false, false));
        }
    }

    public static void Press(this TopModel model, params ConsoleKey[] keys) =>
        Array.ForEach(keys, key => model.Press(new ConsoleKeyInfo('\0', key, false, false, false)));

    /// <summary>The screen as text, a line each.</summary>
    public static string[] Lines(this TopModel model, int columns, int? rows) => [.. TopFrame.Draw(model, columns, rows).Select(line => line.ToString())];
}
