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
            return OneLine(text);
        }

        var end = char.IsHighSurrogate(text[MaxQuoted - 1]) ? MaxQuoted - 1 : MaxQuoted;
        return OneLine(text[..end]) + "…";
    }

    /// <summary>Replaces every character that could break a line or drive a terminal by its escape.</summary>
    public static string OneLine(string text) => TerminalText.Escape(text);
}
