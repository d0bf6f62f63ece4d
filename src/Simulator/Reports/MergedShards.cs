using System.Collections;
using Keepalive.Simulator.Scenarios;

namespace Keepalive.Simulator.Reports;

/// <summary>The rows of all shards of a sweep, in the grid's order.</summary>
internal sealed class MergedShards
{
    /// <summary>The path of standard input.</summary>
    public const string StandardInput = "-";

    private const int MostNamed = 20;

    private readonly List<string> _problems;

    /// <summary>The file with a whole copy of each shard.</summary>
    private readonly Dictionary<int, string> _files = [];

    /// <summary>The problem of each shard whose copies are all incomplete: their processes died.</summary>
    private readonly SortedDictionary<int, string> _incomplete = [];
    private (string Path, ShardHeader Header)? _first;
    private (int Index, string Name) _scenario = (int.MaxValue, "");
    private bool _waits;
    private SweepRow?[] _rows = [];
    private List<Dictionary<string, int>> _places = [];

    private MergedShards(List<string> problems) => _problems = problems;

    /// <summary>Reads each file, which has a shard, or one behind the other. All problems are found, not only the first.</summary>
    /// <returns>Null where there is a problem.</returns>
    /// <exception cref="IOException">A file cannot be read.</exception>
    public static (GridHead Grid, IReadOnlyList<SweepRow> Rows)? Read(IReadOnlyList<string> paths, List<string> problems)
    {
        var merged = new MergedShards(problems);
        foreach (var path in paths)
        {
            merged.Read(path);
        }
        if (merged._first is not { } first)
        {
            return null;
        }
        var count = first.Header.Shard.Count;
        problems.AddRange(merged._incomplete.Where(shard => !merged._files.ContainsKey(shard.Key)).Select(static shard => shard.Value));
        List<string> missing =
        [
            .. Enumerable.Range(0, count).Where(index => !merged._files.ContainsKey(index) && !merged._incomplete.ContainsKey(index)).Select(index => new Shard(index, count).ToString()),
        ];
        if (missing.Count > 0)
        {
            problems.Add($"{(missing.Count == 1 ? "a shard is" : $"{missing.Count} shards are")} missing: {string.Join(", ", missing.Take(MostNamed))}{(missing.Count > MostNamed ? ", …" : "")}");
        }
        return problems.Count > 0 ? null : (first.Header.Grid with { Scenario = merged._scenario.Name, Waits = merged._waits }, merged._rows!);
    }

    /// <summary>Reads a file. Lines that are no objects are warnings: the log of a pod has both streams.</summary>
    private void Read(string path)
    {
        Part? part = null;
        foreach (var (number, line) in Lines(path))
        {
            if (!line.StartsWith('{'))
            {
                continue;
            }
            if (ShardHeader.Parse(line) is { } header)
            {
                part?.Close();
                part = Begin(path, header);
            }
            else if (part is null)
            {
                break;
            }
            else
            {
                part.Add(line, number);
            }
        }
        if (part is null)
        {
            _problems.Add($"{path} is no shard: it does not begin as what 'keepalive-sim sweep --shard I/N' writes");
        }
        part?.Close();
    }

    /// <summary>Returns the numbered lines of a file. The log of a pod that was killed ends in the middle of a line, and the next pod's begins there.</summary>
    private static IEnumerable<(int Number, string Line)> Lines(string path)
    {
        if (Directory.Exists(path))
        {
            throw new IOException($"{path} is a directory: name the files in it");
        }
        if (path != StandardInput && !File.Exists(path))
        {
            throw new IOException($"{path} does not exist");
        }
        var number = 0;
        foreach (var line in path == StandardInput ? InputLines() : File.ReadLines(path))
        {
            number++;
            var rest = line;
            for (int header; rest.Length > 0 && (header = rest.IndexOf(ShardHeader.Begin, 1, StringComparison.Ordinal)) > 0; rest = rest[header..])
            {
                yield return (number, rest[..header]);
            }
            yield return (number, rest);
        }
    }

    private static IEnumerable<string> InputLines()
    {
        while (Console.In.ReadLine() is { } line)
        {
            yield return line;
        }
    }

    private Part Begin(string path, ShardHeader header)
    {
        if (_first is null)
        {
            _first = (path, header);
            _rows = new SweepRow?[(int)GridHead.Size(header.Grid.Parameters)];
            _places = [.. header.Grid.Parameters.Select(parameter => parameter.Values.Index().ToDictionary(value => value.Item, value => value.Index))];
        }
        if (header.Difference(_first.Value.Header) is { } difference)
        {
            _problems.Add($"{path} is of another sweep than {_first.Value.Path}: {difference}");
            return new Part(this, path, null);
        }
        _waits |= header.Grid.Waits;
        _scenario = header.Shard.Index < _scenario.Index ? (header.Shard.Index, header.Grid.Scenario) : _scenario;
        return new Part(this, path, header.Shard);
    }

    private int? PointOf(SweepRow row)
    {
        var point = 0;
        for (var i = 0; i < _places.Count; i++)
        {
            if (row.Values[i] is not { } value || !_places[i].TryGetValue(value, out var place))
            {
                return null;
            }
            point = (point * _places[i].Count) + place;
        }
        return point;
    }

    /// <summary>The rows of one shard as they are read.</summary>
    /// <param name="all">Where they go.</param>
    /// <param name="path">The file.</param>
    /// <param name="shard">Null for a shard that is ignored, since its problem is reported.</param>
    private sealed class Part(MergedShards all, string path, Shard? shard)
    {
        private readonly BitArray _seen = new(all._rows.Length);
        private int _found;
        private int _invalid;
        private bool _isDamaged;

        public void Add(string line, int number)
        {
            if (shard is not { } own)
            {
                return;
            }
            _isDamaged |= _invalid > 0;
            if (SweepRow.Parse(line, isCsv: false, all._first!.Value.Header.Grid) is not { } row || all.PointOf(row) is not { } point || !own.Owns(point))
            {
                _invalid = _invalid > 0 ? _invalid : number;
                return;
            }
            _found += _seen[point] ? 0 : 1;
            _seen[point] = true;
            if (all._files.ContainsKey(own.Index))
            {
                return;   // a whole copy was read already
            }
            all._rows[point] = row with { Values = GridHead.ValuesAt(all._first.Value.Header.Grid.Parameters, point) };
        }

        /// <summary>Reports what is missing or wrong. A last line that is no row was cut off.</summary>
        public void Close()
        {
            if (shard is not { } own)
            {
                return;
            }
            var due = Enumerable.Range(0, all._rows.Length).Count(own.Owns);
            if (_isDamaged || (_invalid > 0 && _found == due))
            {
                all._problems.Add($"{path}:{_invalid} is not a row of shard {own} of this sweep");
            }
            else if (_found < due)
            {
                // Its process died. The log of its successor is a copy, too.
                all._incomplete[own.Index] = $"{path}: shard {own} has {_found} of its {due} rows: run its command again; with --out it goes on from there";
            }
            else if (!all._files.TryAdd(own.Index, path))
            {
                all._problems.Add($"shard {own} is given twice: {all._files[own.Index]} and {path}");
            }
        }
    }
}
