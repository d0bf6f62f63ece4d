using System.Text;
using Xunit;

namespace Keepalive.Config.Tests;

public sealed class TerminalTextTests
{
    [Theory]
    [InlineData("curl", "curl", "curl")]
    [InlineData("größer → 東京 \U0001F600 e\u0301", "größer → 東京 \U0001F600 e\u0301", "größer → 東京 \U0001F600 e\u0301")]
    [InlineData("a\nb\r\t\u001b[31m\u0000\u007f", "a\\nb\\r\\t\\u001b[31m\\u0000\\u007f", "a?b???[31m??")]
    [InlineData("exe\u202egpj", "exe\\u202egpj", "exe?gpj")]
    [InlineData("\u2028\u2029\u0085", "\\u2028\\u2029\\u0085", "???")]
    [InlineData("a\u00a0b\u3000c", "a\\u00a0b\\u3000c", "a?b?c")]
    [InlineData("\u200b\u200d\ufeff\u00ad\u034f\u3164\ufe0f", "\\u200b\\u200d\\ufeff\\u00ad\\u034f\\u3164\\ufe0f", "???????")]
    [InlineData("\U000E0041\U000F0000\uE000", "\\U000e0041\\U000f0000\\ue000", "???")]
    [InlineData("\ufffd", "\ufffd", "\ufffd")]
    public void Text_OfAnyCharacters_IsVisibleAndOnOneLine(string text, string escaped, string masked)
    {
        Assert.Equal(escaped, TerminalText.Escape(text));
        Assert.Equal(masked, TerminalText.Mask(text));
    }

    /// <remarks>Not a case of the theory above: attributes are stored as UTF-8, which cannot hold a lone surrogate.</remarks>
    [Fact]
    public void Text_WithALoneSurrogate_IsText() => Assert.Equal("?x?", TerminalText.Mask(new string(['\ud800', 'x', '\udfff'])));

    [Fact]
    public void Bidi_EveryControl_IsUnsafe()
    {
        // UAX #9, 2.1 to 2.6, and the line and paragraph separators.
        int[] controls = [0x061C, 0x200E, 0x200F, .. Enumerable.Range(0x202A, 5), .. Enumerable.Range(0x2066, 4), 0x2028, 0x2029];
        Assert.All(controls, character => Assert.True(TerminalText.IsUnsafe(new Rune(character)), $"U+{character:X4}"));
    }

    [Fact]
    public void Ascii_Printable_IsSafe() => Assert.All(Enumerable.Range(' ', 95), character => Assert.False(TerminalText.IsUnsafe(new Rune(character))));

    [Fact]
    public void Diagnostic_OfAStrangeFile_IsOneVisibleLine() => Assert.Equal(
        "a\\u202eb.yaml:1:2: error KA001: is wrong",
        new Diagnostic("KA001", Severity.Error, new SourcePosition("a\u202eb.yaml", 1, 2), "is wrong", null).ToString());
}
