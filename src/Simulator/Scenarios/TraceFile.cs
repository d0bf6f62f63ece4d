using System.Collections.Immutable;
using System.Globalization;
using Keepalive.Config;
using Keepalive.Linux.Files;

namespace Keepalive.Simulator.Scenarios;

/// <summary>Reads a trace: lines of <c>CONNECTION,TIME</c>, connections counted from 1, times in seconds or as durations, ascending for each.</summary>
internal static class TraceFile
{
    private const int MaxLineProblems = 20;

    /// <summary>Bytes: ten million requests, and more.</summary>
    private const long MaxLength = 256 << 20;

    /// <summary>Reads one.</summary>
    /// <param name="file">Its path.</param>
    /// <param name="named">Where the scenario names it.</param>
    /// <param name="scenario">Whose clients they are, and how long it lasts.</param>
    /// <param name="diagnostics">Takes what is wrong with it.</param>
    public static TraceArrival? Read(string file, SourcePosition named, Scenario scenario, DiagnosticBag diagnostics)
    {
        if (WhyNot(file) is { } obstacle)
        {
            diagnostics.Report(DiagnosticCatalog.CannotRead, named, $"scenario: requests.trace cannot be read: {obstacle}", "give a CSV file");
            return null;
        }
        var times = new Dictionary<long, List<TimeSpan>>();
        var problems = 0;
        var number = 0;
        var after = 0L;
        SourcePosition firstAfter = default;
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
                if (Add(line, position, scenario.Clients, times, diagnostics) is not { } at)
                {
                    problems++;
                }
                else if (at >= scenario.Duration)
                {
                    firstAfter = after++ == 0 ? position : firstAfter;
                }
                if (problems == MaxLineProblems)
                {
                    break;
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            diagnostics.Report(DiagnosticCatalog.CannotRead, named, $"scenario: requests.trace cannot be read: {Quoting.Shorten(e.Message)}", "give a CSV file");
            return null;
        }
        if (problems > 0)
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

    /// <summary>Adds a request; when it is, or null when there is something wrong with the line.</summary>
    private static TimeSpan? Add(string line, SourcePosition position, int clients, Dictionary<long, List<TimeSpan>> times, DiagnosticBag diagnostics)
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
        if (list.Count > 0 && at < list[^1])
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
}
