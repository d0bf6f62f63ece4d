using System.Text.Json;
using Keepalive.Simulator.Lab;
using Xunit;

namespace Keepalive.Simulator.Tests.Reports;

public sealed class SimulatorJsonTests
{
    /// <summary>Output of a process in the lab may contain control sequences for the terminal of the report's reader.</summary>
    [Theory]
    [InlineData("exe\u202egpj", "exe\\u202Egpj")]
    [InlineData("a\u200bb\u2028", "a\\u200Bb\\u2028")]
    [InlineData("\u001b[31m", "\\u001B[31m")]
    [InlineData("\"é → ü\" <&>'+`", "\\\"é → ü\\\" <&>'+`")]
    public void Output_OfAProcess_IsPrintedAsATerminalCanShowIt(string text, string expected)
    {
        using var output = new StringWriter();
        using (var report = new JsonLabReport(output))
        {
            report.Output(TimeSpan.FromSeconds(1), "client", "stdout", text, continues: false);
        }

        Assert.Contains($"\"text\":\"{expected}\"", output.ToString(), StringComparison.Ordinal);
        Assert.Equal(text, JsonDocument.Parse(output.ToString()).RootElement.GetProperty("text").GetString());
    }
}
