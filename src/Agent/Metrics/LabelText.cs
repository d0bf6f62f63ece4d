using Keepalive.Config;

namespace Keepalive.Agent.Metrics;

/// <summary>Values of labels as they may be shown: nothing in them changes a terminal or the order of what is read.</summary>
internal static class LabelText
{
    /// <summary>The values, each made safe in place.</summary>
    public static string[] Of(string[] values)
    {
        for (var i = 0; i < values.Length; i++)
        {
            // The format has an escape of its own for the end of a line.
            values[i] = values[i].Contains('\n') ? string.Join('\n', values[i].Split('\n').Select(TerminalText.Escape)) : TerminalText.Escape(values[i]);
        }
        return values;
    }
}
