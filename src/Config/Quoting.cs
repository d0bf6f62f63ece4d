namespace Keepalive.Config;

/// <summary>Makes text from the input safe to print inside a one-line message.</summary>
internal static class Quoting
{
    private const int MaxQuoted = 60;

    /// <summary>The text in double quotes, cut to a readable length.</summary>
    public static string Quote(string text) => $"\"{Shorten(text)}\"";

    /// <summary>The text without quotes, cut to a readable length, on one line.</summary>
    public static string Shorten(string text)
    {
        if (text.Length <= MaxQuoted)
        {
            return TerminalText.Escape(text);
        }

        var end = char.IsHighSurrogate(text[MaxQuoted - 1]) ? MaxQuoted - 1 : MaxQuoted;
        return TerminalText.Escape(text[..end]) + "…";
    }
}
