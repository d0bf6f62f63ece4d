using System.Globalization;
using System.Text;

namespace Keepalive.Config;

/// <summary>Text that others have chosen, made fit for a terminal, a log and a table: one line, every character visible, in reading order.</summary>
public static class TerminalText
{
    /// <summary>Letters and marks that show as nothing (Unicode, Default_Ignorable_Code_Point), beyond the categories below.</summary>
    private static readonly (int First, int Last)[] s_invisible =
    [
        (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xE0000, 0xE0FFF),
    ];

    /// <summary>Whether a character breaks a line, drives a terminal, reorders what stands beside it, or cannot be seen.</summary>
    public static bool IsUnsafe(Rune character) => !(character.Value is >= ' ' and <= '~') && Rune.GetUnicodeCategory(character) switch
    {
        UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator
            or UnicodeCategory.SpaceSeparator or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned => true,
        UnicodeCategory.OtherLetter or UnicodeCategory.NonSpacingMark =>
            Array.Exists(s_invisible, range => range.First <= character.Value && character.Value <= range.Last),
        _ => false,
    };

    /// <summary>The text with its escape in place of every unsafe character: <c>\n</c>, <c>\u202e</c>.</summary>
    public static string Escape(string text) => Replace(text, static (character, into) =>
    {
        _ = character.Value switch
        {
            '\n' => into.Append("\\n"),
            '\r' => into.Append("\\r"),
            '\t' => into.Append("\\t"),
            > 0xFFFF => into.Append(CultureInfo.InvariantCulture, $"\\U{character.Value:x8}"),
            _ => into.Append(CultureInfo.InvariantCulture, $"\\u{character.Value:x4}"),
        };
    });

    /// <summary>The text with a question mark in place of every unsafe character, for names in narrow columns.</summary>
    public static string Mask(string text) => Replace(text, static (_, into) => into.Append('?'));

    private static string Replace(string text, Action<Rune, StringBuilder> replace)
    {
        if (!text.AsSpan().ContainsAnyExceptInRange(' ', '~'))
        {
            return text;
        }
        StringBuilder? safe = null;
        var index = 0;
        // Half a surrogate pair comes as U+FFFD.
        foreach (var character in text.EnumerateRunes())
        {
            var isUnsafe = IsUnsafe(character) || (character == Rune.ReplacementChar && text[index] != '\uFFFD');
            if (isUnsafe)
            {
                safe ??= new StringBuilder(text.Length + 16).Append(text, 0, index);
                replace(character, safe);
            }
            else
            {
                safe?.Append(character.ToString());
            }
            index += character.Utf16SequenceLength;
        }
        return safe?.ToString() ?? text;
    }
}
