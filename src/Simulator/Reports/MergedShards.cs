using Keepalive.Simulator.Scenarios;

namespace Keepalive.Simulator.Reports;

/// <summary>The rows of all shards of a sweep, in the grid's order.</summary>
internal sealed class MergedShards
{
    private const int MostNamed = 20;

    private readonly List<string> _problems;
    private readonly Dictionary<int, string> _files = [];
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
        List<string> missing = [.. Enumerable.Range(0, count).Where(index => !merged._files.ContainsKey(index)).Select(index => new Shard(index, count).ToString())];
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
        var number = 0;
        foreach (var line in File.ReadLines(path))
        {
            number++;
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
        if (!_files.TryAdd(header.Shard.Index, path))
        {
            _problems.Add($"shard {header.Shard} is given twice: {_files[header.Shard.Index]} and {path}");
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
            _found += all._rows[point] is null ? 1 : 0;
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
                all._problems.Add($"{path}: shard {own} has {_found} of its {due} rows: run its command again; with --out it goes on from there");
            }
        }
    }
}
