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
    /// <param name="clients">How many there are.</param>
    /// <param name="diagnostics">Takes what is wrong with it.</param>
    public static TraceArrival? Read(string file, SourcePosition named, int clients, DiagnosticBag diagnostics)
    {
        if (WhyNot(file) is { } obstacle)
        {
            diagnostics.Report(DiagnosticCatalog.CannotRead, named, $"scenario: requests.trace cannot be read: {obstacle}", "give a CSV file");
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
                problems += Add(line, new SourcePosition(file, number, 1), clients, times, diagnostics) ? 0 : 1;
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

    private static bool Add(string line, SourcePosition position, int clients, Dictionary<long, List<TimeSpan>> times, DiagnosticBag diagnostics)
    {
        var fields = line.Split(',', StringSplitOptions.TrimEntries);
        var at = TimeSpan.Zero;
        if (fields.Length != 2 || !long.TryParse(fields[0], NumberStyles.None, CultureInfo.InvariantCulture, out var number) || !TryTime(fields[1], out at))
        {
            diagnostics.Report(DiagnosticCatalog.BadTrace, position, $"not a connection and a time: {Quoting.Quote(line)}", "write it like \"1,350.5\" or \"1,5m50s\"");
            return false;
        }
        if (number < 1 || number > clients)
        {
            diagnostics.Report(DiagnosticCatalog.BadTrace, position, $"there is no connection {number}: there are {clients}", "number them from 1");
            return false;
        }
        if (!times.TryGetValue(number, out var list))
        {
            times[number] = list = [];
        }
        if (list.Count > 0 && at < list[^1])
        {
            diagnostics.Report(DiagnosticCatalog.TraceOrder, position,
                $"the time {Words.Duration(at)} of connection {number} comes after {Words.Duration(list[^1])}", "sort the times of each connection");
            return false;
        }
        list.Add(at);
        return true;
    }

    private static bool TryTime(string text, out TimeSpan time)
    {
        time = TimeSpan.Zero;
        var isPlain = text.Length > 0 && char.IsAsciiDigit(text[^1]);
        if (!GoDuration.TryParse(isPlain ? text + "s" : text, out var nanoseconds) || nanoseconds < 0)
        {
            return false;
        }
        time = TimeSpan.FromTicks(nanoseconds / TimeSpan.NanosecondsPerTick);
        return time <= ScenarioFields.Longest;
    }
}
