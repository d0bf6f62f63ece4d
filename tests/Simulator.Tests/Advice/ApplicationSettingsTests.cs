using System.Text.RegularExpressions;
using Keepalive.Config;
using Keepalive.Simulator.Advice;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Advice;

public sealed partial class ApplicationSettingsTests
{
    private static readonly KeepaliveSettings s_advised = new(306, 10, 3);

    public static TheoryData<string> Names => [.. ApplicationSettings.Names];

    [Fact]
    public void Names_AskedFor_AreThere() => Assert.Superset(
        new HashSet<string> { "postgres", "jdbc", "npgsql", "go", "node", "grpc", "redis", "mysql", "python", "java", "dotnet", "nginx", "haproxy", "envoy" },
        ApplicationSettings.Names.ToHashSet());

    [Theory]
    [MemberData(nameof(Names))]
    public void Setting_OfEveryName_HasItsValuesAndASource(string name) => Assert.All(ApplicationSettings.Of(name), setting =>
    {
        var values = setting.Values(s_advised.Time!.Value, s_advised);
        var lines = string.Join('\n', setting.Lines(values));
        Assert.Contains("306", lines, StringComparison.Ordinal);
        Assert.Matches("^https://[^/]+/.+", setting.Source);
        Assert.DoesNotContain('\n', setting.Remark);
        Assert.All(setting.Lines(values), line => Assert.InRange(line.Length, 1, 140));
        if (setting.Heartbeat is { } heartbeat)
        {
            Assert.Contains("17", string.Join('\n', heartbeat(17)), StringComparison.Ordinal);
        }
    });

    [Fact]
    public void Of_UnknownName_IsEmpty() => Assert.Empty(ApplicationSettings.Of("cobol"));

    [Fact]
    public void Page_Table_HasEverySettingWithItsSource()
    {
        var rows = File.ReadLines(Path.Combine(Repository.Root, "docs/applications.md")).Where(line => line.StartsWith("| `", StringComparison.Ordinal))
            .Select(line => line.Split(" | ")).Where(cells => cells.Length == 4)
            .Select(cells => (Names: string.Join(' ', Code().Matches(cells[0]).Select(match => match.Groups[1].Value)), Source: Link().Match(cells[3]).Groups[1].Value))
            .ToList();
        Assert.Equal(ApplicationSettings.All.Select(setting => (string.Join(' ', setting.Names), setting.Source)), rows);
    }

    [GeneratedRegex("`([a-z-]+)`")]
    private static partial Regex Code();

    [GeneratedRegex(@"\]\(([^)]+)\)")]
    private static partial Regex Link();
}
