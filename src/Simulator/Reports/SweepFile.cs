using System.Text;
using Keepalive.Linux.Files;
using Keepalive.Simulator.Scenarios;

namespace Keepalive.Simulator.Reports;

/// <summary>Where the rows of a grid are kept as they come: CSV, or lines of JSON, those of a shard behind its header. Rows that are in it already are
/// not run again.</summary>
internal sealed class SweepFile : IDisposable
{
    private readonly string _path;
    private readonly string? _header;
    private readonly GridHead _grid;
    private readonly StreamWriter _writer;

    private SweepFile(string path, string? header, GridHead grid, StreamWriter writer) => (_path, _header, _grid, _writer) = (path, header, grid, writer);

    /// <summary>Opens it, and reads what an earlier run has left in it. A last line that was cut off is taken away.</summary>
    /// <exception cref="IOException">It cannot be opened, or is something else.</exception>
    public static SweepFile Open(string path, GridHead grid, Shard? shard, Dictionary<string, SweepRow> rows)
    {
        var isCsv = IsCsv(path);
        var header = shard is { } part ? ShardHeader.Of(grid, part).ToJson() : isCsv ? SweepRow.CsvHeader(grid) : null;
        var whole = $"this grid{(shard is null ? " and this scenario" : ", this scenario, this shard and this version of the program")}";
        if (Path.Exists(path) && !RegularFile.IsAt(path))
        {
            throw new IOException($"--out: {path} is not a regular file: rows are read back from it, and put in order");
        }
        var text = File.Exists(path) ? File.ReadAllText(path) : "";
        var ended = text[..(text.LastIndexOf('\n') + 1)];
        var lines = ended.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        for (var i = 0; i < lines.Length; i++)
        {
            if (header is not null && i == 0 && lines[i] == header)
            {
                continue;
            }
            if ((header is not null && i == 0) || SweepRow.Parse(lines[i], isCsv, grid) is not { } row)
            {
                throw new IOException($"{path} is not of {whole} (line {i + 1}). Name another file, or remove it");
            }
            rows[row.Key] = row;
        }
        if (ended.Length == 0 && !(header is not null ? header.StartsWith(text, StringComparison.Ordinal) : IsCutLine(text, SweepRow.JsonBegin(grid))))
        {
            throw new IOException($"{path} is not of {whole}. Name another file, or remove it");
        }
        var writer = new StreamWriter(new FileStream(path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.Read)) { NewLine = "\n" };
        writer.BaseStream.SetLength(Encoding.UTF8.GetByteCount(ended));
        writer.BaseStream.Seek(0, SeekOrigin.End);
        if (header is not null && ended.Length == 0)
        {
            writer.WriteLine(header);
            writer.Flush();
        }
        return new SweepFile(path, header, grid, writer);
    }

    /// <summary>Writes all rows of a grid, in place of what is there.</summary>
    /// <exception cref="IOException">It cannot be written.</exception>
    public static void Write(string path, GridHead grid, IEnumerable<SweepRow> rows)
    {
        if (Path.Exists(path) && !RegularFile.IsAt(path))
        {
            throw new IOException($"--out: {path} is not a regular file");
        }
        Replace(path, IsCsv(path) ? SweepRow.CsvHeader(grid) : null, grid, rows);
    }

    public static bool IsCsv(string path) => path.EndsWith(".csv", StringComparison.OrdinalIgnoreCase);

    /// <summary>Adds a row; it is there whatever happens next.</summary>
    public void Add(SweepRow row)
    {
        _writer.WriteLine(Line(_path, _grid, row));
        _writer.Flush();
    }

    /// <summary>Puts the rows into the grid's order: the file does not depend on the number of processors.</summary>
    public void Finish(IEnumerable<SweepRow> inOrder)
    {
        _writer.Dispose();
        Replace(_path, _header, _grid, inOrder);
    }

    public void Dispose() => _writer.Dispose();

    /// <summary>Whether a text without an end of line is a cut row. Any other file is kept as it is.</summary>
    private static bool IsCutLine(string text, string begin) =>
        begin.StartsWith(text, StringComparison.Ordinal) || text.StartsWith(begin, StringComparison.Ordinal);

    private static void Replace(string path, string? header, GridHead grid, IEnumerable<SweepRow> rows)
    {
        var sorted = path + ".sorted";
        File.WriteAllLines(sorted, (header is null ? Array.Empty<string>() : [header]).Concat(rows.Select(row => Line(path, grid, row))));
        File.Move(sorted, path, overwrite: true);
    }

    private static string Line(string path, GridHead grid, SweepRow row) => IsCsv(path) ? row.ToCsv(grid.Fingerprint) : row.ToJson(grid);
}
