using System.Globalization;
using System.Text;
using Keepalive.Testbed;

namespace Keepalive.EndToEnd;

/// <summary>A page of the documentation, with the Markdown that tests need: fenced blocks, headings and links.</summary>
internal sealed class Page
{
    private Page(string path)
    {
        Path = path;
        Lines = File.ReadAllLines(FullPath);
        Blocks = [.. Fenced(Lines)];
        var fenced = Blocks.SelectMany(block => Enumerable.Range(block.Line - 1, block.Lines.Count + 2)).ToHashSet();
        Prose = [.. Lines.Select((line, index) => fenced.Contains(index) ? "" : line)];
    }

    /// <summary>All pages, by their paths in the repository.</summary>
    public static IReadOnlyList<string> All { get; } =
    [
        .. Directory.GetFiles(Repository.Root, "*.md").Concat(Directory.GetFiles(System.IO.Path.Combine(Repository.Root, "docs"), "*.md", SearchOption.AllDirectories))
            .Select(file => System.IO.Path.GetRelativePath(Repository.Root, file)).Order(StringComparer.Ordinal),
    ];

    public string Path { get; }

    public string FullPath => System.IO.Path.Combine(Repository.Root, Path);

    public IReadOnlyList<string> Lines { get; }

    /// <summary>The lines; lines of fenced blocks are empty.</summary>
    public IReadOnlyList<string> Prose { get; }

    public IReadOnlyList<Block> Blocks { get; }

    /// <summary>The anchors of the headings, as GitHub generates them.</summary>
    public IEnumerable<string> Anchors => Prose.Where(line => line.StartsWith('#')).Select(line => Anchor(line.TrimStart('#').Trim()));

    public static Page Read(string path) => new(path);

    public static string Anchor(string heading)
    {
        var anchor = new StringBuilder();
        foreach (char c in heading.ToLower(CultureInfo.InvariantCulture))
        {
            anchor.Append(c == ' ' ? "-" : char.IsLetterOrDigit(c) || c is '-' or '_' ? c.ToString() : "");
        }
        return anchor.ToString();
    }

    private static IEnumerable<Block> Fenced(IReadOnlyList<string> lines)
    {
        for (int i = 0; i < lines.Count; i++)
        {
            if (lines[i].StartsWith("```", StringComparison.Ordinal))
            {
                int begin = i++;
                while (lines[i] != "```")
                {
                    i++;
                }
                yield return new Block(lines[begin][3..], begin + 1, [.. lines.Skip(begin + 1).Take(i - begin - 1)]);
            }
        }
    }

    /// <param name="Info">The info string behind the fence: <c>console</c>, <c>yaml</c>.</param>
    /// <param name="Line">The line number of the fence.</param>
    /// <param name="Lines">The lines inside.</param>
    public sealed record Block(string Info, int Line, IReadOnlyList<string> Lines);
}
