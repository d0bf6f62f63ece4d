using System.Globalization;
using System.Reflection;
using System.Text.RegularExpressions;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Log;
using Keepalive.Config;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Agent.Tests.Docs;

/// <summary>The tables of the pages list every metric, event, diagnostic and reason, and nothing else.</summary>
public sealed partial class DocumentedTests
{
    [Fact]
    public void Metrics_OfAScrape_AreThoseOfThePage()
    {
        var scraped = MetricType().Matches(File.ReadAllText(Path.Combine(Repository.Root, "tests/Agent.Tests/Metrics/golden.prom")))
            .Select(match => match.Groups[1].Value).Where(name => !name.StartsWith("process_", StringComparison.Ordinal));
        Assert.Equal(scraped.Order(StringComparer.Ordinal), MetricRow().Matches(Page("metrics")).Select(match => match.Groups[1].Value).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Events_OfTheLog_AreThoseOfThePage()
    {
        var ids = typeof(EventIds).GetFields(BindingFlags.Public | BindingFlags.Static).Select(field => (int)field.GetRawConstantValue()!).Order();
        var page = Page("service");
        var table = page[page.IndexOf("| id | event |", StringComparison.Ordinal)..];
        Assert.Equal(ids, NumberRow().Matches(table).Select(match => int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture)));
    }

    [Fact]
    public void Diagnostics_OfTheCatalog_AreThoseOfThePage()
    {
        var kinds = DiagnosticCatalog.All.Select(kind => $"| {kind.Code} | {kind.Severity.ToString().ToLowerInvariant()} | {kind.Title} |");
        Assert.Equal(kinds, DiagnosticRow().Matches(Page("policies")).Select(match => match.Value));
    }

    [Fact]
    public void Reasons_OfFailures_AreThoseOfThePage()
    {
        var reasons = typeof(FailureReasons).GetFields(BindingFlags.Public | BindingFlags.Static).Select(field => (string)field.GetRawConstantValue()!);
        var page = Page("datapaths");
        var section = page[page.IndexOf("## Sockets that cannot be set", StringComparison.Ordinal)..page.IndexOf("## Requirements", StringComparison.Ordinal)];
        Assert.Equal(reasons.Order(StringComparer.Ordinal), ReasonRow().Matches(section).Select(match => match.Groups[1].Value).Order(StringComparer.Ordinal));
    }

    private static string Page(string name) => File.ReadAllText(Path.Combine(Repository.Root, "docs", name + ".md"));

    [GeneratedRegex("^# TYPE ([a-z_]+) ", RegexOptions.Multiline)]
    private static partial Regex MetricType();

    [GeneratedRegex("^\\| `(keepalive_[a-z_]+)", RegexOptions.Multiline)]
    private static partial Regex MetricRow();

    [GeneratedRegex(@"^\| (\d+) \|", RegexOptions.Multiline)]
    private static partial Regex NumberRow();

    [GeneratedRegex(@"^\| KA\d+ \|.*\|$", RegexOptions.Multiline)]
    private static partial Regex DiagnosticRow();

    [GeneratedRegex(@"^\| `([a-zA-Z]+)` \|", RegexOptions.Multiline)]
    private static partial Regex ReasonRow();
}
