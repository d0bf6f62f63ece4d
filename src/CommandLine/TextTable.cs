using System.Text;
using Keepalive.Config;

namespace Keepalive.CommandLine;

/// <summary>Columns as wide as what is in them, two spaces apart. Names that others have chosen cannot move the terminal's cursor.</summary>
public static class TextTable
{
    /// <summary>Writes the rows, each on a line.</summary>
    /// <param name="output">Where it is written to.</param>
    /// <param name="rows">The rows, the first of which is the head; all have as many cells.</param>
    public static void Write(TextWriter output, IReadOnlyList<string[]> rows)
    {
        foreach (var line in Lines(rows))
        {
            output.WriteLine(line);
        }
    }

    /// <summary>The lines, without their ends.</summary>
    /// <param name="rows">As for <see cref="Write"/>.</param>
    public static IEnumerable<string> Lines(IReadOnlyList<string[]> rows) => rows.Count == 0 ? [] : Lines(rows, new int[rows[0].Length]);

    /// <summary>The lines of a part of a table.</summary>
    /// <param name="rows">The rows; all have as many cells.</param>
    /// <param name="widths">The widths of the columns so far; columns with wider cells are widened.</param>
    public static IEnumerable<string> Lines(IReadOnlyList<string[]> rows, int[] widths)
    {
        foreach (var row in rows)
        {
            for (var i = 0; i < row.Length; i++)
            {
                widths[i] = Math.Max(widths[i], TerminalText.Mask(row[i]).Length);
            }
        }
        var line = new StringBuilder();
        foreach (var row in rows)
        {
            line.Clear();
            for (var i = 0; i < row.Length; i++)
            {
                line.Append(TerminalText.Mask(row[i]).PadRight(widths[i] + 2));
            }
            yield return line.ToString().TrimEnd();
        }
    }
}
