using System.Text.RegularExpressions;
using Keepalive.Testbed;

namespace Keepalive.EndToEnd;

/// <summary>Both programs and all their commands, as the programs themselves list them.</summary>
internal static partial class Programs
{
    /// <summary>Command lines: each program alone, and with each of its commands.</summary>
    public static IReadOnlyList<string[]> All { get; } = [.. Find()];

    private static IEnumerable<string[]> Find()
    {
        foreach (string program in new[] { ProgramRun.AgentPath, ProgramRun.SimulatorPath })
        {
            yield return [program];
            var lines = ProgramRun.ToEnd([program, "--help"]).Output.Split('\n').SkipWhile(line => line != "Commands:").Skip(1).TakeWhile(line => line.StartsWith(' '));
            foreach (string line in lines)
            {
                yield return [program, Name().Match(line).Groups[1].Value];
            }
        }
    }

    [GeneratedRegex(@"^  ([a-z]+)\b")]
    private static partial Regex Name();
}
