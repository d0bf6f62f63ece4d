using System.Text;
using Spectre.Console;

namespace Keepalive.Agent.Top;

/// <summary>Texts as wide as the terminal shows them: some characters take two columns, and some take none.</summary>
internal static class Cells
{
    private const string Gap = "…";

    /// <summary>The columns of a text.</summary>
    public static int Width(string text) => text.AsSpan().ContainsAnyExceptInRange(' ', '~') ? text.GetCellWidth() : text.Length;

    /// <summary>The text in exactly so many columns. A longer one loses its middle, because both ends of a name tell most.</summary>
    public static string Fit(string text, int columns, bool right = false)
    {
        if (columns <= 0)
        {
            return "";
        }
        var cut = Cut(text, columns);
        var pad = new string(' ', columns - Width(cut));
        return right ? pad + cut : cut + pad;
    }

    /// <summary>The text in at most so many columns.</summary>
    public static string Cut(string text, int columns)
    {
        if (columns <= 0 || Width(text) <= columns)
        {
            return columns <= 0 ? "" : text;
        }
        var head = Take(text.EnumerateRunes(), columns / 2);
        var tail = Take(text.EnumerateRunes().Reverse(), columns - 1 - (columns / 2));
        return string.Concat(head.Select(static rune => rune.ToString()))
            + Gap + string.Concat(tail.Reverse<Rune>().Select(static rune => rune.ToString()));
    }

    /// <summary>The text in at most so many columns. A longer one loses its end: of a sentence the beginning tells most.</summary>
    public static string CutEnd(string text, int columns) => columns <= 0 ? "" : Width(text) <= columns ? text
        : string.Concat(Take(text.EnumerateRunes(), columns - 1).Select(static rune => rune.ToString())) + Gap;

    private static List<Rune> Take(IEnumerable<Rune> runes, int columns)
    {
        List<Rune> taken = [];
        foreach (var rune in runes)
        {
            columns -= Width(rune.ToString());
            if (columns < 0)
            {
                break;
            }
            taken.Add(rune);
        }
        return taken;
    }

    private static List<Rune> Take(StringRuneEnumerator runes, int columns)
    {
        List<Rune> all = [];
        foreach (var rune in runes)
        {
            all.Add(rune);
        }
        return Take((IEnumerable<Rune>)all, columns);
    }

    private static List<Rune> Reverse(this StringRuneEnumerator runes)
    {
        List<Rune> all = [];
        foreach (var rune in runes)
        {
            all.Add(rune);
        }
        all.Reverse();
        return all;
    }
}
