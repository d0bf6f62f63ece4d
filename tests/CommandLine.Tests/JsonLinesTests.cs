using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Xunit;

namespace Keepalive.CommandLine.Tests;

public sealed class JsonLinesTests
{
    [Fact]
    public void Of_TextWithLineEnds_IsOneLine() =>
        Assert.Equal("""{"a":1,"b":"x\ny"}""", new JsonLines(JavaScriptEncoder.Default).Of(json =>
        {
            json.WriteNumber("a", 1);
            json.WriteString("b", "x\ny");
        }));

    [Fact]
    public void Of_Encoder_DecidesWhatIsEscaped() =>
        Assert.Equal(
            ("""{"a":"\u003C\u00E9"}""", """{"a":"<é"}"""),
            (new JsonLines(JavaScriptEncoder.Default).Of(Write), new JsonLines(JavaScriptEncoder.UnsafeRelaxedJsonEscaping).Of(Write)));

    [Fact]
    public void Append_TwoObjects_EndsEachWithALineFeed()
    {
        var text = new StringBuilder();
        var lines = new JsonLines(JavaScriptEncoder.Default);
        lines.Append(text, json => json.WriteNull("a"));
        lines.Append(text, json => json.WriteNull("b"));

        Assert.Equal("{\"a\":null}\n{\"b\":null}\n", text.ToString());
    }

    private static void Write(Utf8JsonWriter json) => json.WriteString("a", "<é");
}
