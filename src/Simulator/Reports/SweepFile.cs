using System.Text;
using Keepalive.Linux.Files;
using Keepalive.Simulator.Scenarios;

namespace Keepalive.Simulator.Reports;

/// <summary>Where the rows of a grid are kept as they come: CSV, or lines of JSON. Rows that are in it already are not run again.</summary>
internal sealed class SweepFile : IDisposable
{
    private readonly string _path;
    private readonly bool _isCsv;
    private readonly ScenarioGrid _grid;
    private readonly StreamWriter _writer;

    private SweepFile(string path, bool isCsv, ScenarioGrid grid, StreamWriter writer) => (_path, _isCsv, _grid, _writer) = (path, isCsv, grid, writer);

    /// <summary>Opens it, and reads what an earlier run has left in it. A last line that was cut off is taken away.</summary>
    /// <exception cref="IOException">It cannot be opened, or is something else.</exception>
    public static SweepFile Open(string path, ScenarioGrid grid, Dictionary<string, SweepRow> rows)
    {
        var isCsv = path.EndsWith(".csv", StringComparison.OrdinalIgnoreCase);
        var header = SweepRow.CsvHeader(grid);
        if (Path.Exists(path) && !RegularFile.IsAt(path))
        {
            throw new IOException($"--out: {path} is not a regular file: rows are read back from it, and put in order");
        }
        var text = File.Exists(path) ? File.ReadAllText(path) : "";
        var whole = text[..(text.LastIndexOf('\n') + 1)];
        var lines = whole.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        for (var i = 0; i < lines.Length; i++)
        {
            if (isCsv && i == 0 && lines[i] == header)
            {
                continue;
            }
            if ((isCsv && i == 0) || SweepRow.Parse(lines[i], isCsv, grid) is not { } row)
            {
                throw new IOException($"{path} is not of this grid and this scenario (line {i + 1}). Name another file, or remove it");
            }
            rows[row.Key] = row;
        }
        if (whole.Length == 0 && !(isCsv ? header.StartsWith(text, StringComparison.Ordinal) : IsCutLine(text, SweepRow.JsonBegin(grid))))
        {
            throw new IOException($"{path} is not of this grid and this scenario. Name another file, or remove it");
        }
        var writer = new StreamWriter(new FileStream(path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.Read)) { NewLine = "\n" };
        writer.BaseStream.SetLength(Encoding.UTF8.GetByteCount(whole));
        writer.BaseStream.Seek(0, SeekOrigin.End);
        if (isCsv && whole.Length == 0)
        {
            writer.WriteLine(header);
            writer.Flush();
        }
        return new SweepFile(path, isCsv, grid, writer);
    }

    /// <summary>Adds a row; it is there whatever happens next.</summary>
    public void Add(SweepRow row)
    {
        _writer.WriteLine(Line(row));
        _writer.Flush();
    }

    /// <summary>Puts the rows into the grid's order: the file does not depend on the number of processors.</summary>
    public void Finish(IEnumerable<SweepRow> inOrder)
    {
        _writer.Dispose();
        var sorted = _path + ".sorted";
        File.WriteAllLines(sorted, (_isCsv ? [SweepRow.CsvHeader(_grid)] : Array.Empty<string>()).Concat(inOrder.Select(Line)));
        File.Move(sorted, _path, overwrite: true);
    }

    public void Dispose() => _writer.Dispose();

    /// <summary>Whether a text without an end of line is a cut row. Any other file is kept as it is.</summary>
    private static bool IsCutLine(string text, string begin) =>
        begin.StartsWith(text, StringComparison.Ordinal) || text.StartsWith(begin, StringComparison.Ordinal);

    private string Line(SweepRow row) => _isCsv ? row.ToCsv(_grid.Fingerprint) : row.ToJson(_grid);
}
