using System.Reflection;
using System.Text.RegularExpressions;
using Keepalive.Config;
using Keepalive.Simulator.Scenarios;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Scenarios;

/// <summary>The page about scenarios lists every diagnostic code of scenarios.</summary>
public sealed partial class ScenarioDiagnosticsTests
{
    [Fact]
    public void Diagnostics_OfScenarios_AreThoseOfThePage()
    {
        var kinds = typeof(ScenarioDiagnostics).GetFields(BindingFlags.Public | BindingFlags.Static).Select(field => (DiagnosticKind)field.GetValue(null)!);
        Assert.Equal(
            kinds.Select(kind => $"| {kind.Code} | {kind.Severity.ToString().ToLowerInvariant()} | {kind.Title} |"),
            Row().Matches(File.ReadAllText(Path.Combine(Repository.Root, "docs", "virtual-time.md"))).Select(match => match.Value));
    }

    [GeneratedRegex(@"^\| KA\d+ \|.*\|$", RegexOptions.Multiline)]
    private static partial Regex Row();
}
