using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary><c>keepalive-agent check</c> on valid, invalid and hostile files.</summary>
public sealed class CheckTests : IDisposable
{
    private static readonly string s_good = PolicyText.Guide("203.0.113.10:15443");

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-check");

    private string FilePath => Path.Combine(_directory.FullName, "policy.yaml");

    [Fact]
    public void Check_GuidesPolicy_PrintsItsSelectionAndExits0()
    {
        File.WriteAllText(FilePath, s_good);
        var result = Check();
        Assert.Equal(0, result.ExitCode);
        Assert.Contains("bookinfo/tcp-keepalive: 1 destination, 1 port, 1 address, time 700s interval 10s probes 20\n", result.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("error", result.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("warning", result.Output, StringComparison.Ordinal);
    }

    /// <summary>An EnvoyFilter has a verdict for each of its values; the same values may be in several patches.</summary>
    [Fact]
    public void Check_EnvoyFilterWithSeveralPatches_NamesThePatchOfEachVerdict()
    {
        const string late = "{socket_options: [{level: 1, name: 9, int_value: 1}, {level: 6, name: 4, int_value: 400}, {level: 6, name: 5, int_value: 10}, {level: 6, name: 6, int_value: 6}]}";
        File.WriteAllText(FilePath, """
            apiVersion: networking.istio.io/v1alpha3
            kind: EnvoyFilter
            metadata: {name: keepalive, namespace: istio-system}
            spec:
              configPatches:
              - applyTo: CLUSTER
                patch: {operation: MERGE, value: {upstream_connection_options: {tcp_keepalive: {keepalive_time: 240, keepalive_interval: 20, keepalive_probes: 4}}}}
              - applyTo: LISTENER
                patch: {operation: MERGE, value: LATE}
              - applyTo: LISTENER
                patch: {operation: MERGE, value: LATE}
            """.Replace("LATE", late, StringComparison.Ordinal));
        var lines = Lines(Check("--balancer", "aws-nlb"));
        Assert.Contains(lines, line => line.StartsWith("  spec.configPatches[0]: time 240s interval 20s probes 4, through aws-nlb, idle timeout 350s: kept", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.StartsWith("  spec.configPatches[1], spec.configPatches[2]: time 400s interval 10s probes 6, through aws-nlb, idle timeout 350s: forgotten", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("time: 700s", "time: 700", "18:15", "KA")]
    [InlineData("time: 700s", "time: \"700\"", "18:15", "unit")]
    [InlineData("time: 700s", "time: 1d", "18:15", "1d")]
    [InlineData("time: 700s", "time: -5s", "18:15", "-5s")]
    [InlineData("time: 700s", "time: 32768s", "18:15", "32767")]
    [InlineData("probes: 20", "probes: 300", "17:17", "127")]
    [InlineData("probes: 20", "probes: \"20\"", "17:17", "20")]
    [InlineData("probes: 20", "probse: 20", "17:9", "probes")]
    [InlineData("interval: 10s", "time: 10s", "19:9", "time")]
    [InlineData("interval: 10s", "\tinterval: 10s", "19:", "tab")]
    [InlineData("maxConnections: 10000", "maxConnections: many", "14:23", "many")]
    public void Check_OneMistake_IsOneErrorWithItsPlace(string right, string wrong, string position, string mentions)
    {
        Assert.Contains(right, s_good, StringComparison.Ordinal);
        File.WriteAllText(FilePath, s_good.Replace(right, wrong, StringComparison.Ordinal));
        var result = Check();
        Assert.Equal(1, result.ExitCode);
        string error = Assert.Single(Lines(result), line => line.Contains(": error KA", StringComparison.Ordinal));
        Assert.StartsWith($"{FilePath}:{position}", error, StringComparison.Ordinal);
        Assert.Contains(mentions, error, StringComparison.OrdinalIgnoreCase);
    }

    [Theory]
    [InlineData("empty")]
    [InlineData("binary")]
    [InlineData("100 MB")]
    [InlineData("missing")]
    [InlineData("pipe")]
    [InlineData("nesting")]
    [InlineData("aliases")]
    [InlineData("many documents")]
    [InlineData("not utf-8")]
    public void Check_HostileInput_IsOneErrorInBoundedTime(string what)
    {
        Write(what);
        var clock = Stopwatch.StartNew();
        var result = Check();
        Assert.Equal(1, result.ExitCode);
        Assert.InRange(clock.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(10));
        string error = Assert.Single(Lines(result), line => line.Contains(": error KA", StringComparison.Ordinal));
        Assert.Matches("^" + System.Text.RegularExpressions.Regex.Escape(FilePath) + @":\d+:\d+: error KA\d\d\d: .+", error);
        Assert.Equal("", result.Error);
    }

    [Fact]
    public void Check_FileWithoutPermission_IsAnError()
    {
        File.WriteAllText(FilePath, s_good);
        File.SetUnixFileMode(FilePath, UnixFileMode.None);
        File.SetUnixFileMode(_directory.FullName, (UnixFileMode)0b111_101_101);
        string[] asNobody = Environment.UserName == "root" ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : [];
        var result = ProgramRun.ToEnd([.. asNobody, ProgramRun.AgentPath, "check", FilePath]);
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("KA001: the file cannot be read: permission denied", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Check_Json_IsOneObjectALineWithASummaryLast()
    {
        File.WriteAllText(FilePath, s_good.Replace("time: 700s", "time: 1d", StringComparison.Ordinal));
        var result = Check("-o", "json");
        var objects = Lines(result).Select(line => JsonDocument.Parse(line).RootElement).ToList();
        var error = objects.Single(o => o.TryGetProperty("severity", out var severity) && severity.GetString() == "error");
        Assert.Equal(18, error.GetProperty("line").GetInt32());
        Assert.Equal("summary", objects[^1].GetProperty("kind").GetString());
        Assert.Equal(1, objects[^1].GetProperty("errors").GetInt32());
    }

    [Fact]
    public void Check_DataInFlight_IsSaidOnceWithTheUserTimeoutThatCoversIt()
    {
        File.WriteAllText(FilePath, s_good);
        const string uncovered = "keepalive does not cover data in flight: ";
        Assert.Contains("keepalive-agent/user-timeout: 15m ends", Assert.Single(Lines(Check()), line => line.StartsWith(uncovered, StringComparison.Ordinal)), StringComparison.Ordinal);
        var summary = JsonDocument.Parse(Lines(Check("-o", "json"))[^1]).RootElement.GetProperty("policies")[0];
        Assert.Equal((900_000, "keep"), (summary.GetProperty("coveringUserTimeoutMs").GetInt32(), summary.GetProperty("userTimeout").GetString()));

        // A policy that sets it needs no advice; one that sets it too short is warned of.
        File.WriteAllText(FilePath, s_good.Replace("annotations:\n", "annotations:\n    keepalive-agent/user-timeout: 60s\n", StringComparison.Ordinal));
        var result = Check();
        Assert.Equal(0, result.ExitCode);
        Assert.DoesNotContain(uncovered, result.Output, StringComparison.Ordinal);
        Assert.Contains("warning KA074: ConnectionPolicy bookinfo/tcp-keepalive: annotation keepalive-agent/user-timeout of 1m ends a quiet connection after 1 lost probe in a row, not 20", result.Output, StringComparison.Ordinal);
    }

    public void Dispose() => _directory.Delete(recursive: true);

    private CommandResult Check(params string[] more) => ProgramRun.ToEnd([ProgramRun.AgentPath, "check", FilePath, .. more]);

    private static string[] Lines(CommandResult result) => result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    private void Write(string what)
    {
        switch (what)
        {
            case "empty":
                File.WriteAllText(FilePath, "");
                break;
            case "binary":
                File.Copy("/bin/sh", FilePath);
                break;
            case "100 MB":
                using (var file = File.Create(FilePath))
                {
                    file.SetLength(100_000_000);
                }
                break;
            case "pipe":
                Command.Run("mkfifo", FilePath);
                break;
            case "nesting":
                File.WriteAllText(FilePath, new string('[', 1_000_000));
                break;
            case "aliases":
                var text = new StringBuilder("apiVersion: resilience.policy.gloo.solo.io/v2\nkind: ConnectionPolicy\nmetadata: {name: a}\nspec:\n  config: &a0 [x]\n");
                for (int i = 1; i < 60; i++)
                {
                    text.Append($"  k{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}]\n");
                }
                File.WriteAllText(FilePath, text.ToString());
                break;
            case "many documents":
                File.WriteAllText(FilePath, string.Concat(Enumerable.Repeat("---\n", 1_000_000)));
                break;
            case "not utf-8":
                File.WriteAllBytes(FilePath, [.. "kind: "u8, 0xE9, 0x0A]);
                break;
        }
    }
}
