using System.Globalization;
using Keepalive.Agent.Reports;
using Keepalive.Config;

namespace Keepalive.Agent.Top;

/// <summary>Draws the view as lines of text for a screen of a given size.</summary>
/// <remarks>
/// <code>
///   keepalive-agent top  node            agent, datapath, policies        age of the data
///   the node's connections in numbers
///   a problem, if there is one
///   endpoints out of the pool, if there are any
///   table
///   changes of the last minutes
///   keys
/// </code>
/// </remarks>
internal static class TopFrame
{
    private const int BarWide = 12;
    private const int BarNarrow = 6;

    /// <summary>Below this width the columns are narrow.</summary>
    private const int Wide = 110;

    /// <summary>Below this width the least important columns are left out.</summary>
    private const int Narrow = 70;

    /// <summary>The columns that two names need to be worth reading.</summary>
    private const int TwoNames = 20;

    private static readonly string[] s_help =
    [
        "↑ ↓ k j  PgUp PgDn  Home End   select a row",
        "Enter                          list the connections of the row",
        "Esc                            clear the filter, or go back",
        "Tab                            workloads, or destinations",
        "/                              filter: only rows with a text",
        "s S                            sort by the next, or the previous column",
        "r                              turn the order round",
        "space p                        pause, and go on",
        "q  Ctrl-C                      leave",
        "",
        "UNPROT   connections that nothing probes; in a survey also those that are",
        "         probed later than the idle timeout on the path",
        "NEXT     the earliest next probe; the bar is the part of the wait that is left.",
        "         Traffic postpones the probe.",
        "UNANS    unanswered probes, and the number that ends the connection",
        "RTT      the longest round trip: of a captured probe, else as the kernel has it",
        "SET      connections that the agent set in the last five minutes",
    ];

    /// <summary>Draws the view.</summary>
    /// <param name="model">The state of the view.</param>
    /// <param name="columns">The width of the screen.</param>
    /// <param name="rows">The height of the screen; null for as many lines as there are, as on paper.</param>
    public static List<FrameLine> Draw(TopModel model, int columns, int? rows)
    {
        List<FrameLine> lines = [];
        if (model.Snapshot is not { } snapshot)
        {
            lines.Add(new FrameLine(columns).Add(" keepalive-agent top", Tone.Strong));
            lines.Add(new FrameLine(columns).Add(" reading the node's sockets …", Tone.Dim));
            return lines;
        }
        Header(lines, model, snapshot, columns);
        if (model.ShowsHelp)
        {
            lines.Add(new FrameLine(columns));
            lines.AddRange(s_help.Select(text => new FrameLine(columns).Add(Cells.CutEnd(" " + text, columns))));
            return Complete(lines, new FrameLine(columns).Add(" any key: back", Tone.Dim), rows);
        }
        var room = rows is { } all ? Math.Max(0, all - lines.Count - 1) : int.MaxValue;
        List<FrameLine> trouble = [.. Out(snapshot.Overview, model.Elapsed, columns, rows is null ? int.MaxValue : Math.Max(1, room / 4))];
        List<FrameLine> events = [.. Events(snapshot.Overview, model.Elapsed, columns, rows is null ? int.MaxValue : room < 14 ? 0 : Math.Min(10, room / 5))];
        lines.AddRange(trouble);
        var forTable = rows is null ? int.MaxValue : Math.Max(2, room - trouble.Count - events.Count);
        Table(lines, model, columns, forTable);
        if (rows is { } height)
        {
            while (lines.Count + events.Count < height - 1)
            {
                lines.Add(new FrameLine(columns));
            }
        }
        lines.AddRange(events);
        return rows is null ? lines : Complete(lines, Footer(model, columns), rows);
    }

    private static List<FrameLine> Complete(List<FrameLine> lines, FrameLine footer, int? rows)
    {
        if (rows is { } height)
        {
            while (lines.Count < height - 1)
            {
                lines.Add(new FrameLine(1));
            }
            lines.RemoveRange(Math.Max(0, height - 1), lines.Count - Math.Max(0, height - 1));
            lines.Add(footer);
        }
        return lines;
    }

    private static void Header(List<FrameLine> lines, TopModel model, NodeSnapshot snapshot, int columns)
    {
        var overview = snapshot.Overview;
        var age = overview.AgeMs is { } ms ? $"{Spans.Short(ms + model.Elapsed)} old" : "no pass yet";
        var source = overview.Agent is { } version
            ? $"agent {TerminalText.Escape(ShortVersion(version))}  {TerminalText.Escape(overview.Datapath ?? "?")}{(overview.Captured ? ", capture" : "")}  {Counted.Of(overview.Policies ?? 0, "policy", "policies")}"
            : $"survey  idle timeout {overview.IdleTimeout}s";
        var isStale = overview.AgeMs is { } old && old + model.Elapsed > (3 * overview.EveryMs) + 5000;
        var right = (model.IsPaused ? "PAUSED  " : "") + age + " ";
        // The age counts more than the end of the source.
        var left = new FrameLine(Math.Max(0, columns - right.Length - 1))
            .Add(" keepalive-agent top", Tone.Strong).Add("  ").Add(TerminalText.Escape(overview.Node ?? "?"), Tone.Strong).Add("  ").Add(source, Tone.Dim);
        var line = new FrameLine(columns);
        foreach (var (text, tone) in left.Parts)
        {
            line.Add(text, tone);
        }
        lines.Add(line.AddRight(right, model.IsPaused || isStale ? Tone.Warning : Tone.Dim));
        lines.Add(Numbers(overview, columns));
        if (snapshot.Note is { } note)
        {
            lines.Add(new FrameLine(columns).Add(Cells.CutEnd(" " + TerminalText.Escape(note), columns), Tone.Warning));
        }
        if (overview.Problems is [var problem, ..])
        {
            var more = overview.Problems.Count > 1 ? $" (and {overview.Problems.Count - 1} more)" : "";
            lines.Add(new FrameLine(columns).Add(" " + TerminalText.Escape(problem) + more, Tone.Warning));
        }
    }

    private static string ShortVersion(string version) => version.Split('+', '-')[0];

    private static FrameLine Numbers(NodeOverview overview, int columns)
    {
        var groups = overview.Groups;
        var unprotected = groups.Sum(static group => group.Unprotected);
        var probing = groups.Sum(static group => group.Probing);
        var failed = groups.Sum(static group => group.Failed);
        var set = groups.Sum(static group => group.RecentlySet);
        var all = groups.Sum(static group => group.Connections) + overview.LeftOut;
        var line = new FrameLine(columns).Add(" ").Add(Number(all), Tone.Strong).Add(all == 1 ? " connection" : " connections");
        if (overview.Agent is not null)
        {
            Count(line, groups.Sum(static group => group.Managed), "managed", Tone.Good);
        }
        Count(line, unprotected, "unprotected", Tone.Warning);
        Count(line, probing, "unanswered", Tone.Bad);
        if (overview.Agent is not null)
        {
            Count(line, overview.Out.Count, "out", Tone.Bad);
            if (failed > 0)
            {
                Count(line, failed, "not set", Tone.Bad);
            }
            if (set > 0)
            {
                Whole(line, $"  set in 5m {Number(set)}", Tone.Dim);
            }
        }
        else if (overview.Local is > 0 and var local)
        {
            Whole(line, $"  {Number(local)} local", Tone.Dim);
        }
        if (overview.LeftOut > 0)
        {
            Whole(line, $"  {Number(overview.LeftOut)} in no row", Tone.Dim);
        }
        return line;
    }

    /// <summary>Adds a number that nobody could read without its end, if there is room for it.</summary>
    private static void Whole(FrameLine line, string text, Tone tone)
    {
        if (Cells.Width(text) <= line.Left)
        {
            line.Add(text, tone);
        }
    }

    private static void Count(FrameLine line, int count, string what, Tone tone) => Whole(line, $"  {Number(count)} {what}", count > 0 ? tone : Tone.Dim);

    private static IEnumerable<FrameLine> Out(NodeOverview overview, long elapsed, int columns, int most)
    {
        if (overview.Out.Count == 0)
        {
            yield break;
        }
        var (wideEnd, rest) = (Math.Min(28, columns / 3), Math.Max(10, columns - Math.Min(28, columns / 3) - 1 - 8 - 7 - 9));
        yield return new FrameLine(columns)
            .Add($" {Cells.Fit("OUT OF POOL", wideEnd)} {Cells.Fit("DESTINATION", rest)}{Cells.Fit("SINCE", 8, true)}{Cells.Fit("CONN", 6, true)}{Cells.Fit("VOTES", 8, true)}").Painted(Tone.Head);
        var shown = overview.Out.OrderBy(static one => one.Endpoint, StringComparer.Ordinal).Take(overview.Out.Count > most ? most - 1 : most).ToList();
        foreach (var one in shown)
        {
            yield return new FrameLine(columns)
                .Add(" " + Cells.Fit(TerminalText.Escape(one.Endpoint), wideEnd), Tone.Bad).Add(" " + Cells.Fit(TerminalText.Escape(one.Destination), rest))
                .Add(Cells.Fit(Spans.Seconds(one.SinceMs + elapsed), 8, true)).Add(Count(one.Connections, 6))
                .Add(Cells.Fit($"{one.VotesOut} of {one.Votes}", 8, true));
        }
        if (overview.Out.Count > shown.Count)
        {
            yield return new FrameLine(columns).Add($" … {overview.Out.Count - shown.Count} more", Tone.Bad);
        }
    }

    private static IEnumerable<FrameLine> Events(NodeOverview overview, long elapsed, int columns, int most)
    {
        if (overview.Events.Count == 0 || most < 2)
        {
            yield break;
        }
        yield return new FrameLine(columns).Add(" LAST MINUTES").Painted(Tone.Head);
        foreach (var one in overview.Events.Take(most - 1))
        {
            yield return new FrameLine(columns)
                .Add(" " + Cells.Fit(Spans.Seconds(one.AgoMs + elapsed) + " ago", 10, true) + " ", Tone.Dim)
                .Add(Cells.Fit(one.Kind, 8), one.Kind == "dead" ? Tone.Bad : Tone.Good)
                .Add($" {Number(one.Count)} of {Cells.Cut(TerminalText.Escape(one.Workload), columns / 4)} → {Cells.Cut(TerminalText.Escape(one.Destination ?? "?"), columns / 4)}: ")
                .Add(TerminalText.Escape(one.Text), Tone.Dim);
        }
    }

    private static void Table(List<FrameLine> lines, TopModel model, int columns, int room)
    {
        var (isWide, isNarrow) = (columns >= Wide, columns < Narrow);
        var bar = isWide ? BarWide : isNarrow ? 0 : BarNarrow;
        var isConnections = model.Table == TopTable.Connections;
        var (connections, unprotected) = isConnections ? (0, isWide ? 14 : 13) : (isWide ? 8 : 7, isWide ? 8 : 7);
        // Only an agent sets connections.
        var set = isNarrow || model.Snapshot?.Overview.Agent is null ? 0 : isWide ? 7 : 6;
        var (unanswered, trip) = (isWide ? 8 : isNarrow || isConnections ? 6 : 7, isWide ? 9 : isNarrow ? 0 : 7);
        var next = bar > 0 ? bar + 8 : isConnections ? 7 : 8;
        var rest = Math.Max(6, columns - 1 - connections - unprotected - next - unanswered - trip - set);
        var detail = isConnections && isWide ? Math.Min(30, rest / 3) : isWide ? Math.Min(20, rest / 4) : 0;
        // An address with its port counts more than the workloads that connect to it.
        var name = Math.Max(3, (rest - detail) * (model.Table == TopTable.Destinations ? 3 : 2) / (model.Table == TopTable.Destinations ? 5 : 4));
        // One whole name is worth more than the ends of two. Of a connection, the remote end tells more.
        name = rest >= TwoNames ? name : isConnections ? 0 : rest;
        var other = rest - detail - name;
        var (first, second, third) = model.Table switch
        {
            TopTable.Workloads => ("WORKLOAD", "DESTINATION", "PROCESS"),
            TopTable.Destinations => ("DESTINATION", "WORKLOAD", "POLICY"),
            _ => ("LOCAL", "REMOTE", "KEEPALIVE"),
        };
        if (isConnections)
        {
            lines.Add(new FrameLine(columns).Add(" " + Title(model), Tone.Strong));
            room--;
        }
        lines.Add(new FrameLine(columns)
            .Add(" " + Column(Head(model, first, TopOrder.Name), name) + Column(second, other) + Column(third, detail))
            .Add(isConnections ? "" : Cells.Fit(Head(model, "CONN", TopOrder.Connections), connections, true))
            .Add(isConnections ? Cells.Fit(Head(model, "STATE", TopOrder.Unprotected), unprotected) : Cells.Fit(Head(model, "UNPROT", TopOrder.Unprotected), unprotected, true))
            .Add(" " + Cells.Fit(Head(model, bar > 0 ? "NEXT PROBE" : "NEXT", TopOrder.NextProbe), next - 1))
            .Add(Cells.Fit(Head(model, "UNANS", TopOrder.Unanswered), unanswered, true))
            .Add(Cells.Fit(Head(model, "RTT", TopOrder.RoundTrip), trip, true))
            .Add(Cells.Fit(Head(model, "SET", TopOrder.Set), set, true)).Painted(Tone.Head));
        room--;
        var shown = Math.Max(1, room);
        model.PageRows = room == int.MaxValue - 1 ? 10 : shown;
        var from = Math.Clamp(model.Index - (shown / 2), 0, Math.Max(0, model.Rows.Count - shown));
        for (var i = from; i < model.Rows.Count && i - from < shown; i++)
        {
            var row = model.Rows[i];
            var tone = row.Trouble switch { RowTrouble.Unanswered => Tone.Bad, RowTrouble.Unprotected => Tone.Warning, _ => Tone.Normal };
            var line = new FrameLine(columns)
                .Add(" " + Column(row.Name, name), tone)
                .Add(Column(row.Other, other))
                .Add(Column(row.Detail, detail), Tone.Dim);
            if (isConnections)
            {
                line.Add(Cells.Fit(row.Why ?? (row.Connections > 1 ? Number(row.Connections) : "ok"), unprotected), row.Why is null ? Tone.Good : Tone.Warning);
            }
            else
            {
                line.Add(Count(row.Connections, connections));
                line.Add(row.Unprotected > 0 ? Count(row.Unprotected, unprotected) : Cells.Fit("·", unprotected, true), row.Unprotected > 0 ? Tone.Warning : Tone.Dim);
            }
            Next(line.Add(" "), row, model.Elapsed, bar, next - 1);
            line.Add(
                Cells.Fit(row.Unanswered == 0 ? "·" : row.EndsAfter is { } limit ? $"{row.Unanswered}/{limit}" : Number(row.Unanswered), unanswered, true),
                row.Unanswered > 0 ? Tone.Bad : Tone.Dim);
            line.Add(Cells.Fit(row.RoundTrip is { } time ? Trip(time) : "-", trip, true), Tone.Dim);
            line.Add(row.Set is not { } at || (!isConnections && at == 0) ? Cells.Fit("·", set, true) : isConnections ? Cells.Fit(Spans.Seconds(1000 * at), set, true) : Count(at, set), Tone.Dim);
            lines.Add(i == model.Index && room < int.MaxValue - 2 ? line.Painted(Tone.Selected) : line);
        }
        if (model.Rows.Count == 0)
        {
            lines.Add(new FrameLine(columns).Add(
                model.Filter.Length > 0 ? $" no row has '{TerminalText.Escape(model.Filter)}' (Esc clears the filter)" : " no connection leaves this node", Tone.Dim));
        }
    }

    private static string Title(TopModel model)
    {
        var left = model.Snapshot?.Connections?.LeftOut ?? 0;
        var of = model.Focus is { Workload: { } workload } ? $"connections of {TerminalText.Escape(workload)}"
            : $"connections to {TerminalText.Escape(model.Focus?.Destination ?? "")}";
        return model.Snapshot?.Focus != model.Focus ? $"{of} …" : left > 0 ? $"{of}, {Number(left)} more are not listed" : of;
    }

    /// <summary>A column and the space behind it; nothing if there is no room for it.</summary>
    private static string Column(string text, int columns) => columns == 0 ? "" : Cells.Fit(text, columns - 1) + " ";

    /// <summary>The head of a column; that of the order has an arrow.</summary>
    private static string Head(TopModel model, string text, TopOrder order) => model.Order != order ? text : (model.IsReversed ? "▲" : "▼") + text;

    /// <summary>The bar drains until the probe is due.</summary>
    private static void Next(FrameLine line, TopRow row, long elapsed, int bar, int columns)
    {
        if (row is not { NextProbe: { } next, ProbeWait: > 0 and var wait })
        {
            line.Add(Cells.Fit(row.Unprotected > 0 ? "never" : "-", columns), row.Unprotected > 0 ? Tone.Warning : Tone.Dim);
            return;
        }
        var left = Math.Max(0, next - elapsed);
        var full = (int)Math.Clamp(Math.Ceiling(bar * (double)left / wait), 0, bar);
        line.Add(new string('█', full), row.Unanswered > 0 ? Tone.Bad : Tone.Good).Add(new string('░', bar - full), Tone.Dim);
        var gap = bar > 0 ? 1 : 0;
        line.Add(new string(' ', gap) + Cells.Fit(left == 0 ? "due" : Spans.Seconds(left + 999), columns - bar - gap));
    }

    /// <summary>At most six columns: <c>0.3ms</c>, <c>120ms</c>, <c>1.2s</c>, <c>75s</c>.</summary>
    private static string Trip(double milliseconds) => milliseconds switch
    {
        < 0.05 => "<0.1ms",
        < 9.95 => string.Create(CultureInfo.InvariantCulture, $"{milliseconds:0.0}ms"),
        < 999.5 => string.Create(CultureInfo.InvariantCulture, $"{milliseconds:0}ms"),
        < 9950 => string.Create(CultureInfo.InvariantCulture, $"{milliseconds / 1000:0.0}s"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{milliseconds / 1000:0}s"),
    };

    /// <summary>The number at the right of a column. One that is too long loses its last digits, never its first.</summary>
    private static string Count(long number, int columns)
    {
        var text = Number(number);
        text = text.Length < columns ? text : number < 10_000_000 ? Number(number / 1000) + "k" : Number(number / 1_000_000) + "M";
        return Cells.Fit(text, columns, right: true);
    }

    private static string Number(long number) => number.ToString("N0", CultureInfo.InvariantCulture);

    private static FrameLine Footer(TopModel model, int columns)
    {
        if (model.IsTyping)
        {
            return new FrameLine(columns).Add($" /{TerminalText.Escape(model.Filter)}", Tone.Strong).Add("█", Tone.Dim).Add("  Enter: keep  Esc: clear", Tone.Dim);
        }
        var line = new FrameLine(columns).Add(" ");
        var position = (model.Filter.Length > 0 ? $"/{TerminalText.Escape(model.Filter)}  " : "")
            + (model.Rows.Count == model.All ? $"{model.Index + 1}/{model.All} " : $"{model.Index + 1}/{model.Rows.Count} of {model.All} ");
        (string Key, string What)[] keys =
        [
            ("q", "quit"), ("?", "help"), ("/", "filter"), model.Table == TopTable.Connections ? ("Esc", "back") : ("Enter", "list"), ("s", "sort"),
            ("Tab", model.Table == TopTable.Workloads ? "destinations" : "workloads"), ("space", model.IsPaused ? "go on" : "pause"),
        ];
        foreach (var (key, what) in keys.TakeWhile(one => line.Left > one.Key.Length + one.What.Length + 3 + Cells.Width(position)))
        {
            line.Add(key, Tone.Strong).Add($" {what}  ", Tone.Dim);
        }
        return line.AddRight(position, Tone.Dim);
    }
}
