using System.Collections.Immutable;
using System.Globalization;
using Keepalive.Config;
using Keepalive.Linux.Files;

namespace Keepalive.Simulator.Scenarios;

/// <summary>Reads a trace: lines of <c>CONNECTION,TIME</c>, connections counted from 1, times in seconds or as durations.</summary>
internal static class TraceFile
{
    private const int MaxLineProblems = 20;

    /// <summary>Bytes: ten million requests, and more.</summary>
    private const long MaxLength = 256 << 20;

    /// <summary>Reads when requests begin: ascending for each client.</summary>
    /// <param name="file">Its path.</param>
    /// <param name="named">Where the scenario names it.</param>
    /// <param name="scenario">Whose clients they are, and how long it lasts.</param>
    /// <param name="diagnostics">Takes what is wrong with it.</param>
    public static TraceArrival? ReadArrivals(string file, SourcePosition named, Scenario scenario, DiagnosticBag diagnostics)
    {
        var after = 0L;
        SourcePosition firstAfter = default;
        void Note(TimeSpan at, SourcePosition position)
        {
            if (at >= scenario.Duration)
            {
                firstAfter = after++ == 0 ? position : firstAfter;
            }
        }

        if (Read(new Purpose("requests.trace", IsAscending: true), file, named, scenario.Clients, diagnostics, Note) is not { } times)
        {
            return null;
        }
        if (after > 0)
        {
            diagnostics.Report(ScenarioDiagnostics.AfterTheEnd, firstAfter, $"scenario: requests.trace: {Words.Count(after, "time")}, the first of them here, {(after == 1 ? "is" : "are")} when the duration of "
                + $"{Words.Duration(scenario.Duration)} is over", "write a longer duration");
        }
        var most = times.Count == 0 ? 0 : (int)times.Keys.Max();
        return new TraceArrival([.. Enumerable.Range(1, most).Select(client => times.TryGetValue(client, out var list) ? list.ToImmutableArray() : [])]);
    }

    /// <summary>Reads how long responses take, in any order. Clients without lines use those of the others.</summary>
    /// <param name="file">Its path.</param>
    /// <param name="named">Where the scenario names it.</param>
    /// <param name="scenario">Whose clients they are.</param>
    /// <param name="diagnostics">Takes what is wrong with it.</param>
    public static TraceService? ReadServiceTimes(string file, SourcePosition named, Scenario scenario, DiagnosticBag diagnostics)
    {
        if (Read(new Purpose("serviceTime.trace", IsAscending: false), file, named, scenario.Clients, diagnostics, static (_, _) => { }) is not { } times)
        {
            return null;
        }
        if (times.Count == 0)
        {
            diagnostics.Report(ScenarioDiagnostics.BadTrace, new SourcePosition(file, 1, 1), "the file holds no time", "write lines like \"1,350.5\"");
            return null;
        }
        List<ImmutableArray<TimeSpan>> lists = [.. times.OrderBy(entry => entry.Key).Select(entry => entry.Value.ToImmutableArray())];
        var most = (int)times.Keys.Max();
        return new TraceService([.. Enumerable.Range(1, most).Select(client => times.TryGetValue(client, out var own) ? own.ToImmutableArray() : lists[(client - 1) % lists.Count])]);
    }

    /// <summary>The times of each client that has any; null where something is wrong.</summary>
    private static Dictionary<long, List<TimeSpan>>? Read(
        Purpose purpose, string file, SourcePosition named, int clients, DiagnosticBag diagnostics, Action<TimeSpan, SourcePosition> note)
    {
        if (WhyNot(file) is { } obstacle)
        {
            diagnostics.Report(DiagnosticCatalog.CannotRead, named, $"scenario: {purpose.Field} cannot be read: {obstacle}", "give a CSV file");
            return null;
        }
        var times = new Dictionary<long, List<TimeSpan>>();
        var problems = 0;
        var number = 0;
        try
        {
            foreach (var line in File.ReadLines(file).Select(line => line.Trim()))
            {
                number++;
                if (line.Length == 0 || line[0] == '#' || (number == 1 && !char.IsAsciiDigit(line[0])))
                {
                    continue;
                }
                var position = new SourcePosition(file, number, 1);
                if (Add(line, position, clients, purpose.IsAscending, times, diagnostics) is { } time)
                {
                    note(time, position);
                }
                else if (++problems == MaxLineProblems)
                {
                    break;
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            diagnostics.Report(DiagnosticCatalog.CannotRead, named, $"scenario: {purpose.Field} cannot be read: {Quoting.Shorten(e.Message)}", "give a CSV file");
            return null;
        }
        return problems > 0 ? null : times;
    }

    private static string? WhyNot(string file)
    {
        if (file.Contains('\0', StringComparison.Ordinal) || !Path.Exists(file))
        {
            return $"there is no file {Quoting.Quote(file)}";
        }
        if (!RegularFile.IsAt(file))
        {
            return $"{Quoting.Quote(file)} is not a regular file";
        }
        var length = new FileInfo(file) is { LinkTarget: not null } link && link.ResolveLinkTarget(returnFinalTarget: true) is FileInfo target
            ? target.Length
            : new FileInfo(file).Length;
        return length > MaxLength ? $"it has {length} bytes, more than {MaxLength >> 20} MiB" : null;
    }

    /// <summary>Adds a line's time; null when there is something wrong with the line.</summary>
    private static TimeSpan? Add(
        string line, SourcePosition position, int clients, bool isAscending, Dictionary<long, List<TimeSpan>> times, DiagnosticBag diagnostics)
    {
        var fields = line.Split(',', StringSplitOptions.TrimEntries);
        if (fields.Length != 2)
        {
            return Refuse($"not a connection and a time: {Quoting.Quote(line)}", "write it like \"1,350.5\" or \"1,5m50s\"");
        }
        var isNumber = long.TryParse(fields[0], NumberStyles.None, CultureInfo.InvariantCulture, out var number);
        if (!isNumber && !(fields[0].Length > 0 && fields[0].All(char.IsAsciiDigit)))
        {
            return Refuse($"not the number of a connection: {Quoting.Quote(fields[0])}", "write it like \"1,350.5\"");
        }
        if (!isNumber || number < 1 || number > clients)
        {
            return Refuse($"there is no connection {Quoting.Shorten(fields[0])}: there are {clients}", "number them from 1");
        }
        if (!TryTime(fields[1], out var at, out var isOutside))
        {
            return isOutside
                ? Refuse($"the time must be 0s to {Words.Duration(ScenarioFields.Longest)}, but is {Quoting.Shorten(fields[1])}", "times are in seconds, or durations like 5m50s")
                : Refuse($"not a time: {Quoting.Quote(fields[1])}", "write it like \"350.5\" or \"5m50s\"");
        }
        if (!times.TryGetValue(number, out var list))
        {
            times[number] = list = [];
        }
        if (isAscending && list.Count > 0 && at < list[^1])
        {
            diagnostics.Report(ScenarioDiagnostics.TraceOrder, position,
                $"the time {Words.Duration(at)} of connection {number} comes after {Words.Duration(list[^1])}", "sort the times of each connection");
            return null;
        }
        list.Add(at);
        return at;

        TimeSpan? Refuse(string message, string fix)
        {
            diagnostics.Report(ScenarioDiagnostics.BadTrace, position, message, fix);
            return null;
        }
    }

    private static bool TryTime(string text, out TimeSpan time, out bool isOutside)
    {
        var isPlain = text.Length > 0 && char.IsAsciiDigit(text[^1]);
        var error = GoDuration.Parse(isPlain ? text + "s" : text, out var nanoseconds);
        time = TimeSpan.FromTicks(nanoseconds / TimeSpan.NanosecondsPerTick);
        isOutside = error == GoDurationError.Overflow || (error == GoDurationError.None && (time < TimeSpan.Zero || time > ScenarioFields.Longest));
        return error == GoDurationError.None && !isOutside;
    }

    /// <summary>The field that names the file, and whether each connection's times are in order.</summary>
    private sealed record Purpose(string Field, bool IsAscending);
}
