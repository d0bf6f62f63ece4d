using Keepalive.Simulator.Scenarios;

namespace Keepalive.Simulator.Reports;

/// <summary>Prints and draws the rows of a grid.</summary>
internal static class SweepOutput
{
    /// <summary>Prints them; a shard's as what can be merged.</summary>
    public static void Print(GridHead grid, Shard? shard, IReadOnlyList<SweepRow> rows, bool isJson, TextWriter output)
    {
        if (!isJson)
        {
            SweepTable.Write(grid, rows, output);
            return;
        }
        if (shard is { } part)
        {
            output.WriteLine(ShardHeader.Of(grid, part).ToJson());
        }
        foreach (var row in rows)
        {
            output.WriteLine(row.ToJson(grid));
        }
    }

    /// <summary>Draws them, and reports lines that are omitted.</summary>
    public static void Draw(GridHead grid, IReadOnlyList<SweepRow> rows, ResultFile drawing)
    {
        drawing.Write(SweepPicture.Draw(grid, rows, out var lost));
        if (lost is not null)
        {
            Complaint.Say($"{drawing.Path}: {lost}: change fewer fields at once, or give them fewer values");
        }
    }
}
