using System.Globalization;
using System.Text.RegularExpressions;

namespace Keepalive.EndToEnd;

/// <summary>A command of a <c>console</c> block, with the output on the page.</summary>
/// <param name="Place">The page and the line.</param>
/// <param name="Text">The command for a shell.</param>
/// <param name="Expected">The output. A line <c>…</c> matches any lines, <c>…</c> in a line any text.</param>
/// <param name="ExitCode">0 unless the page has a line <c>[exit code N]</c>.</param>
/// <param name="IsExact">Whether numbers and spaces must match the page, too (<c>console exact</c>).</param>
internal sealed partial record PageCommand(string Place, string Text, IReadOnlyList<string> Expected, int ExitCode, bool IsExact)
{
    /// <summary>The commands of a page, in order.</summary>
    public static IEnumerable<PageCommand> Of(Page page)
    {
        foreach (var block in page.Blocks.Where(block => block.Info.Split(' ')[0] == "console"))
        {
            for (int i = 0; i < block.Lines.Count;)
            {
                int line = block.Line + 1 + i;
                string text = Prompt().Match(block.Lines[i]) is { Success: true } prompt
                    ? block.Lines[i][prompt.Length..]
                    : throw new FormatException($"{page.Path}:{line}: not a command: {block.Lines[i]}");
                List<string> output = [.. block.Lines.Skip(++i).TakeWhile(following => !Prompt().IsMatch(following))];
                i += output.Count;
                int exitCode = 0;
                if (output.Count > 0 && ExitCodeLine().Match(output[^1]) is { Success: true } code)
                {
                    exitCode = int.Parse(code.Groups[1].Value, CultureInfo.InvariantCulture);
                    output.RemoveAt(output.Count - 1);
                }
                yield return new PageCommand($"{page.Path}:{line}", text, output, exitCode, block.Info.EndsWith(" exact", StringComparison.Ordinal));
            }
        }
    }

    /// <summary>The difference between the page and the output, at the last line of the page that can be matched; null if they
    /// agree. Commands in a lab write to the same output as the lab, so their lines may come in between its own at any place.</summary>
    public string? Difference(IReadOnlyList<string> printed) => Text.StartsWith("keepalive-sim lab ", StringComparison.Ordinal)
        ? Difference([.. Expected.Where(line => line == "…" || LabsOwn().IsMatch(line))], [.. printed.Where(line => LabsOwn().IsMatch(line))])
            ?? Difference([.. Expected.Where(line => !LabsOwn().IsMatch(line))], [.. printed.Where(line => !LabsOwn().IsMatch(line))])
        : Difference(Expected, printed);

    private string? Difference(IReadOnlyList<string> expected, IReadOnlyList<string> printed)
    {
        Regex?[] patterns = [.. expected.Select(line => line == "…" ? null : Pattern(line))];
        HashSet<(int, int)> failed = [];
        (int Reached, string? Text) difference = (-1, null);
        return Matches(0, 0) ? null : difference.Text;

        // The line after "…" may occur several times: each place is tried.
        bool Matches(int line, int at)
        {
            if (failed.Contains((line, at)))
            {
                return false;
            }
            bool isSame = line == patterns.Length ? at == printed.Count
                : patterns[line] is { } pattern ? at < printed.Count && pattern.IsMatch(printed[at]) && Matches(line + 1, at + 1)
                : Enumerable.Range(at, printed.Count - at + 1).Any(next => Matches(line + 1, next));
            if (!isSame)
            {
                failed.Add((line, at));
                if (line > difference.Reached)
                {
                    string page = line == patterns.Length ? "the page ends here" : $"the page has: {expected[line]}";
                    difference = (line, $"{page}\nprinted was: {(at < printed.Count ? printed[at] : "nothing more")}");
                }
            }
            return isSame;
        }
    }

    private Regex Pattern(string expected)
    {
        string pattern = Token().Replace(expected.TrimEnd(), token => token.Value switch
        {
            "…" => ".*",
            _ when IsExact => Regex.Escape(token.Value),
            [' ', ..] => " +",
            // The page shows an address of its test bed. The port may be any ephemeral port.
            _ when token.Groups["address"].Success => Regex.Escape(token.Groups["address"].Value)
                + (token.Groups["port"].Value is { Length: 6 } ? @":\d{5}" : Regex.Escape(token.Groups["port"].Value)),
            _ when token.Groups["duration"].Success => @"(?:\d[\d.,]*(?:ms|s|m|h))+",
            _ when token.Groups["number"].Success => @"\d[\d.,]*",
            var text => Regex.Escape(text),
        });
        return new Regex($"^{pattern} *$", RegexOptions.CultureInvariant);
    }

    [GeneratedRegex(@"^(?:\$|#(?= (?:keepalive-agent|keepalive-sim|tcpdump|curl|kill|make) )) ")]
    private static partial Regex Prompt();

    [GeneratedRegex(@"^ +\d+\.\d{3} s  ")]
    private static partial Regex LabsOwn();

    [GeneratedRegex(@"^\[exit code (\d+)\]$")]
    private static partial Regex ExitCodeLine();

    [GeneratedRegex(@"…| +|(?<address>\b\d+\.\d+\.\d+\.\d+\b)(?<port>:\d+)?|(?<duration>\b(?:\d[\d.]*(?:ms|s|m|h))+\b)|(?<number>\d[\d.,]*)|.")]
    private static partial Regex Token();
}
