using System.Buffers;
using Keepalive.Config;

namespace Keepalive.Agent.Reports;

/// <summary>Words of a command line to copy into a shell.</summary>
internal static class ShellWord
{
    private static readonly SearchValues<char> s_plain = SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@%+,=");

    /// <summary>Quotes a word if a shell would take it apart.</summary>
    public static string Quote(string word)
    {
        var shown = TerminalText.Escape(word);
        return shown.Length > 0 && !shown.AsSpan().ContainsAnyExcept(s_plain) ? shown : $"'{shown.Replace("'", "'\\''", StringComparison.Ordinal)}'";
    }
}
