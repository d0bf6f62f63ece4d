using System.Text.RegularExpressions;
using Keepalive.Config;
using Keepalive.Config.Balancers;
using Keepalive.Simulator.Advice;
using Keepalive.Simulator.Reports;
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

    /// <summary>Regression: Go's own probes were called "in time for most balancers" also where they do not count.</summary>
    [Theory]
    [InlineData("go", "aws-nlb", "By itself it probes after 15s, each 15s, 9 probes, which meets the requirements too: nothing has to be set.")]
    [InlineData("go", "aws-alb", "By itself it probes after 15s, each 15s, 9 probes, which this balancer does not count.")]
    [InlineData("go", "aws-alb", "http.Transport{IdleConnTimeout: 48 * time.Second}")]
    [InlineData("go", "aws-global-accelerator", "By itself it probes after 15s, each 15s, 9 probes, which ends healthy connections here.")]
    [InlineData("redis", "aws-nlb", "By itself it probes after 300s, each 100s, 3 probes, which is too late here.")]
    [InlineData("redis", "cisco-asa", "By itself it probes after 300s, each 100s, 3 probes, which meets the requirements too: nothing has to be set.")]
    [InlineData("libpq", "aws-nlb", "By itself it probes after 7200s, each 75s, 9 probes, which is too late here.")]
    [InlineData("redis-py", "aws-alb", "redis.Redis(health_check_interval=20)")]
    public void Report_OfAnApplication_JudgesWhatItDoesByItself(string application, string balancer, string expected)
    {
        var preset = BalancerPresets.Find(balancer)!;
        var request = new AdviceRequest { Preset = preset, Rule = new(TimeSpan.FromSeconds(preset.IdleTimeout!.Value), preset.Behaviour) };
        var advised = Advisor.Find(request, out _)?.Settings;
        var lines = (advised is { } settings ? ApplicationReport.For(application, request, settings) : ApplicationReport.Instead(application, request))
            .SelectMany(advice => ApplicationReport.Lines(advice, advised, preset.DropsProbes)).ToList();

        Assert.Contains(lines, line => line.Trim() == expected);
    }

    [Fact]
    public void Of_UnknownName_IsEmpty() => Assert.Empty(ApplicationSettings.Of("cobol"));

    [Theory]
    [InlineData("Go", "go")]
    [InlineData("pg", "postgres")]
    [InlineData("PostgreSQL", "postgres")]
    [InlineData("Node.js", "node")]
    [InlineData(".NET", "dotnet")]
    public void Of_AnotherUsualName_IsTheSame(string name, string known)
    {
        Assert.NotEmpty(ApplicationSettings.Of(known));
        Assert.Equal(ApplicationSettings.Of(known), ApplicationSettings.Of(name));
    }

    [Theory]
    [InlineData("postgrse", "postgres")]
    [InlineData("postgressql", "postgres")]
    [InlineData("cobol", null)]
    public void Near_NameWithATypingError_IsTheNameThatIsMeant(string name, string? meant) => Assert.Equal(meant, ApplicationSettings.Near(name));

    /// <summary>Regression: the pings of the client alone make a server with its defaults end the connection.</summary>
    [Fact]
    public void Setting_OfGrpc_HasTheServersToo()
    {
        var lines = string.Join('\n', ApplicationSettings.Of("grpc")[0].Lines(new(200, 10, 3)));
        Assert.Contains("Go client: keepalive.ClientParameters{Time: 200 * time.Second", lines, StringComparison.Ordinal);
        Assert.Contains("Go server: keepalive.EnforcementPolicy{MinTime: 100 * time.Second, PermitWithoutStream: true}", lines, StringComparison.Ordinal);
        Assert.Contains("server: GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS=100000 GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS=1", lines, StringComparison.Ordinal);
    }

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
