using System.Globalization;
using Keepalive.Config;
using Keepalive.Simulator.Reports;
using Keepalive.Simulator.Scenarios;

namespace Keepalive.Simulator.Pages;

/// <summary>The points of a grid that differ in one field only.</summary>
/// <param name="Name">The values of the other fields; empty if there are none.</param>
/// <param name="Rows">The points.</param>
internal sealed record SweepLine(string Name, IReadOnlyList<SweepRow> Rows);

/// <summary>The field of a grid along which charts are drawn: the first one that changes and has numbers, else the first one that changes.</summary>
internal sealed class SweepAxis
{
    private readonly GridHead _grid;
    private readonly List<int> _others;
    private readonly double[] _places;
    private readonly string _unit;

    public SweepAxis(GridHead grid)
    {
        _grid = grid;
        var numbers = grid.Parameters.Select(static parameter => Numbers(parameter.Values)).ToList();
        var changing = Enumerable.Range(0, grid.Parameters.Length).Where(i => grid.Parameters[i].Values.Length > 1).ToList();
        Index = changing.Where(i => numbers[i] is not null).Concat(changing).Append(0).First();
        _others = [.. changing.Where(i => i != Index)];
        (_places, _unit) = numbers[Index] ?? ([.. Enumerable.Range(0, Count).Select(static i => (double)i)], "");
        IsNumber = numbers[Index] is not null;
    }

    /// <summary>The number of the field.</summary>
    public int Index { get; }

    public string Name => _grid.Parameters[Index].Path;

    public int Count => _grid.Parameters[Index].Values.Length;

    public string OtherNames => string.Join(", ", _others.Select(i => _grid.Parameters[i].Path));

    private bool IsNumber { get; }

    /// <summary>The x axis.</summary>
    public ChartScale Scale(int ticks)
    {
        if (!IsNumber)
        {
            return ChartScale.Of(Name, _grid.Parameters[Index].Values);
        }
        var (least, most) = (_places.Min(), _places.Max());
        return _unit == "s" ? ChartScale.Time(Name, least, most, out _, ticks: ticks) : ChartScale.Between(_unit.Length > 0 ? $"{Name}, {_unit}" : Name, least, most, ticks);
    }

    /// <summary>The rows by the values of the other fields.</summary>
    public IReadOnlyList<SweepLine> Groups(IReadOnlyList<SweepRow> rows) =>
    [
        .. rows.GroupBy(row => string.Join(", ", _others.Select(i => $"{_grid.Parameters[i].Path}={row.Values[i]}")))
            .Select(group => new SweepLine(group.Key, [.. group.OrderBy(Place)])),
    ];

    /// <summary>The points of a line; where a figure is not known, there is none.</summary>
    public IReadOnlyList<ChartPoint> Points(SweepLine line, int most, Func<SweepRow, double> figure, Func<SweepRow, string?> text)
    {
        var each = Math.Max(1, (line.Rows.Count + most - 1) / most);
        return [.. line.Rows.Where((_, i) => i % each == 0 || i == line.Rows.Count - 1).Where(row => !double.IsNaN(figure(row))).Select(row => new ChartPoint(X(row), figure(row), text(row)))];
    }

    /// <summary>The parts of the axis whose points are safe.</summary>
    public IReadOnlyList<ChartBand> Bands(SweepLine line, Func<SweepRow, bool> isSafe)
    {
        var scale = Scale(5);
        // A little more than its points, or a single one would have no width.
        var margin = IsNumber ? (scale.Most - scale.Least) * 0.012 : 0.4;
        return [.. Runs(line, isSafe).Select(run => new ChartBand(Math.Max(scale.Least, X(run.First) - margin), Math.Min(scale.Most, X(run.Last) + margin), "safe"))];
    }

    /// <summary>The values that are safe, in words.</summary>
    public string Safe(SweepLine line, Func<SweepRow, bool> isSafe) =>
        string.Join(", ", Runs(line, isSafe).Select(run => run.First == run.Last ? run.First.Values[Index] : $"{run.First.Values[Index]} to {run.Last.Values[Index]}"));

    /// <summary>All values of a row.</summary>
    public string Described(SweepRow row) => string.Join(", ", _others.Prepend(Index).Select(i => $"{_grid.Parameters[i].Path} = {row.Values[i]}"));

    private static List<(SweepRow First, SweepRow Last)> Runs(SweepLine line, Func<SweepRow, bool> isSafe)
    {
        var runs = new List<(SweepRow First, SweepRow Last)>();
        SweepRow? before = null;
        foreach (var row in line.Rows)
        {
            if (isSafe(row))
            {
                if (before is not null)
                {
                    runs[^1] = (runs[^1].First, row);
                }
                else
                {
                    runs.Add((row, row));
                }
                before = row;
            }
            else
            {
                before = null;
            }
        }
        return runs;
    }

    private double Place(SweepRow row) => _places[_grid.Parameters[Index].Values.IndexOf(row.Values[Index])];

    private double X(SweepRow row) => IsNumber && _unit == "s" ? Place(row) / ChartScale.UnitOf(_places.Max()).Seconds : Place(row);

    /// <summary>The values as numbers with one unit; null where one is none.</summary>
    private static (double[] Places, string Unit)? Numbers(IReadOnlyList<string> values)
    {
        var places = new double[values.Count];
        var unit = "";
        for (var i = 0; i < values.Count; i++)
        {
            var isPercent = values[i].EndsWith('%');
            if (double.TryParse(isPercent ? values[i][..^1] : values[i], NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number))
            {
                (places[i], var own) = (number, isPercent ? "%" : "");
                if (number != 0 && own != unit && unit.Length > 0)
                {
                    return null;
                }
                unit = number != 0 || isPercent ? own : unit;
            }
            else if (GoDuration.TryParse(values[i], out var nanoseconds) && unit is "" or "s")
            {
                (places[i], unit) = (nanoseconds / (double)GoDuration.Second, "s");
            }
            else
            {
                return null;
            }
        }
        return (places, unit);
    }
}
