using Keepalive.Simulator.Scenarios;

namespace Keepalive.Simulator.Reports;

/// <summary>The rows of all shards of a sweep, in the grid's order.</summary>
internal sealed class MergedShards
{
    private const int MostNamed = 20, MostWarnings = 1000;

    private readonly ShardHeader _first;
    private readonly SweepRow?[] _rows;
    private readonly List<Dictionary<string, int>> _places;
    private readonly List<string> _problems;

    private MergedShards(ShardHeader first, List<string> problems)
    {
        (_first, _problems) = (first, problems);
        _rows = new SweepRow?[(int)GridHead.Size(first.Grid.Parameters)];
        _places = [.. first.Grid.Parameters.Select(parameter => parameter.Values.Index().ToDictionary(value => value.Item, value => value.Index))];
    }

    /// <summary>Reads each file. All problems are found, not only the first.</summary>
    /// <returns>Null where there is a problem.</returns>
    /// <exception cref="IOException">A file cannot be read.</exception>
    public static (GridHead Grid, IReadOnlyList<SweepRow> Rows)? Read(IReadOnlyList<string> paths, List<string> problems)
    {
        var files = new Dictionary<int, string>();
        MergedShards? merged = null;
        string firstPath = "";
        var waits = false;
        var scenario = (Index: int.MaxValue, Name: "");
        foreach (var path in paths)
        {
            using var lines = File.ReadLines(path).GetEnumerator();
            if (Header(lines, out var number) is not { } header)
            {
                problems.Add($"{path} is no shard: it does not begin as what 'keepalive-sim sweep --shard I/N' writes");
                continue;
            }
            if (merged is null)
            {
                (merged, firstPath) = (new MergedShards(header, problems), path);
            }
            if (header.Difference(merged._first) is { } difference)
            {
                problems.Add($"{path} is of another sweep than {firstPath}: {difference}");
                continue;
            }
            if (!files.TryAdd(header.Shard.Index, path))
            {
                problems.Add($"shard {header.Shard} is given twice: {files[header.Shard.Index]} and {path}");
                continue;
            }
            waits |= header.Grid.Waits;
            scenario = header.Shard.Index < scenario.Index ? (header.Shard.Index, header.Grid.Scenario) : scenario;
            merged.Add(path, header.Shard, lines, number);
        }
        if (merged is not null)
        {
            var count = merged._first.Shard.Count;
            List<string> missing = [.. Enumerable.Range(0, count).Where(index => !files.ContainsKey(index)).Select(index => new Shard(index, count).ToString())];
            if (missing.Count > 0)
            {
                problems.Add($"{(missing.Count == 1 ? "a shard is" : $"{missing.Count} shards are")} missing: {string.Join(", ", missing.Take(MostNamed))}{(missing.Count > MostNamed ? ", …" : "")}");
            }
        }
        return problems.Count > 0 || merged is null ? null : (merged._first.Grid with { Scenario = scenario.Name, Waits = waits }, merged._rows!);
    }

    /// <summary>Finds the header. The log of a pod has the program's warnings before it.</summary>
    private static ShardHeader? Header(IEnumerator<string> lines, out int number)
    {
        for (number = 1; number <= MostWarnings && lines.MoveNext(); number++)
        {
            if (ShardHeader.Parse(lines.Current) is { } header)
            {
                return header;
            }
            if (lines.Current.StartsWith('{'))
            {
                return null;
            }
        }
        return null;
    }

    private void Add(string path, Shard shard, IEnumerator<string> lines, int number)
    {
        var (invalid, found, due) = (0, 0, Enumerable.Range(0, _rows.Length).Count(shard.Owns));
        while (lines.MoveNext())
        {
            number++;
            if (invalid > 0)
            {
                break;
            }
            if (SweepRow.Parse(lines.Current, isCsv: false, _first.Grid) is not { } row || PointOf(row) is not { } point || !shard.Owns(point))
            {
                invalid = number;
                continue;
            }
            found += _rows[point] is null ? 1 : 0;
            _rows[point] = row with { Values = GridHead.ValuesAt(_first.Grid.Parameters, point) };
        }
        // A last line that is no row was cut off.
        if (invalid > 0 && (invalid < number || found == due))
        {
            _problems.Add($"{path}:{invalid} is not a row of shard {shard} of this sweep");
        }
        else if (found < due)
        {
            _problems.Add($"{path}: shard {shard} has {found} of its {due} rows: run its command again; it goes on from there");
        }
    }

    private int? PointOf(SweepRow row)
    {
        var point = 0;
        for (var i = 0; i < _places.Count; i++)
        {
            if (!_places[i].TryGetValue(row.Values[i], out var place))
            {
                return null;
            }
            point = (point * _places[i].Count) + place;
        }
        return point;
    }
}
