using System.Text;
using Keepalive.Config;

namespace Keepalive.Agent.Reports;

/// <summary>Columns as wide as what is in them, two spaces apart. Names that others have chosen cannot move the terminal's cursor.</summary>
internal static class TextTable
{
    public static void Write(TextWriter output, IReadOnlyList<string[]> rows)
    {
        var widths = new int[rows[0].Length];
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
            output.WriteLine(line.ToString().TrimEnd());
        }
    }
}
