using Keepalive.Simulator.Scenarios;

namespace Keepalive.Simulator.Reports;

/// <summary>Prints the rows of a grid.</summary>
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
}
