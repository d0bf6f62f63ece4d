using System.Globalization;
using System.Text;
using System.Text.Json;
using Keepalive.Linux.Text;
using Xunit;

namespace Keepalive.Linux.Tests;

public sealed class ReadableJsonEncoderTests
{
    private static readonly JsonWriterOptions s_options = new() { Encoder = new ReadableJsonEncoder(static rune => Rune.GetUnicodeCategory(rune) == UnicodeCategory.Format) };

    [Theory]
    [InlineData("plain <&>'+` é → ü", "plain <&>'+` é → ü")]
    [InlineData("\"\\\n\u001b", "\\\"\\\\\\n\\u001B")]
    [InlineData("exe\u202egpj\u200b", "exe\\u202Egpj\\u200B")]
    [InlineData("\u202e", "\\u202E")]
    [InlineData("é\U000e0041", "é\\uDB40\\uDC41")]
    [InlineData("\ud83d\ude00", "\\uD83D\\uDE00")]
    public void Text_WithAndWithoutEscapedCharacters_IsWritten(string text, string expected)
    {
        Assert.Equal($"\"{expected}\"", Write(json => json.WriteStringValue(text)));
        Assert.Equal($"\"{expected}\"", Write(json => json.WriteStringValue(Encoding.UTF8.GetBytes(text))));
    }

    [Fact]
    public void Characters_All_RoundTrip()
    {
        for (var value = 0; value <= 0x10FFFF; value = value == 0xD7FF ? 0xE000 : value + 1)
        {
            var rune = new Rune(value);
            var json = Write(writer => writer.WriteStringValue("ü" + rune));

            Assert.Equal("ü" + rune, JsonDocument.Parse(json).RootElement.GetString());
            Assert.False(Rune.GetUnicodeCategory(rune) is UnicodeCategory.Format or UnicodeCategory.Control && json.Contains(rune.ToString(), StringComparison.Ordinal), $"U+{value:X4}");
        }
    }

    /// <summary>Longer than any buffer on a stack.</summary>
    [Fact]
    public void Text_Long_IsEscapedToItsEnd() =>
        Assert.Equal($"\"{string.Concat(Enumerable.Repeat("x\\u202E", 5000))}\"", Write(json => json.WriteStringValue(string.Concat(Enumerable.Repeat("x\u202e", 5000)))));

    private static string Write(Action<Utf8JsonWriter> write)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, s_options))
        {
            write(writer);
        }
        return Encoding.UTF8.GetString(buffer.ToArray());
    }
}
