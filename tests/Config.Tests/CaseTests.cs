using System.Globalization;
using System.Net;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.RegularExpressions;
using Keepalive.Config.Balancers;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Keepalive.Config.Rendering;
using Xunit;

namespace Keepalive.Config.Tests;

/// <summary>
/// One folder for each case: policy.yaml, and the expected results of the reader and the compiler. Comments at its top request more.
/// "# hosts: NAME=ADDRESS…" is the DNS of the case. "# balancers: NAME[=SECONDS]…" checks it against these balancers; "=SECONDS" alone
/// is a device without a name. "# explain: ADDR:PORT…" and "# render:" act as the commands. KEEPALIVE_UPDATE_CASES=1 rewrites the expected
/// results; review them before a commit.
/// </summary>
public sealed class CaseTests
{
    internal static string Root([CallerFilePath] string file = "") => Path.Combine(Path.GetDirectoryName(file)!, "cases");

    public static TheoryData<string> Cases() =>
        [.. Directory.EnumerateDirectories(Root()).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Policy_ReadAndCompiled_HasTheExpectedResult(string name)
    {
        var folder = Path.Combine(Root(), name);
        var actual = Render(File.ReadAllText(Path.Combine(folder, "policy.yaml")));
        var expectation = Path.Combine(folder, "expected.txt");
        if (Environment.GetEnvironmentVariable("KEEPALIVE_UPDATE_CASES") == "1")
        {
            File.WriteAllText(expectation, actual);
        }

        Assert.Equal(File.ReadAllText(expectation), actual);
    }

    [Fact]
    public void Catalog_EveryCodeInCases_IsListed()
    {
        var known = DiagnosticCatalog.All.Select(kind => kind.Code).ToHashSet();
        Assert.Equal(known.Count, DiagnosticCatalog.All.Count);
        var seen = Directory.EnumerateFiles(Root(), "expected.txt", SearchOption.AllDirectories).SelectMany(File.ReadLines)
            .SelectMany(line => Regex.Matches(line, @" (KA\d\d\d): ").Select(match => match.Groups[1].Value)).ToHashSet();
        Assert.Empty(seen.Except(known));

        // Diagnostics of files and of sizes have tests of their own.
        string[] elsewhere = ["KA001", "KA002", "KA003", "KA005", "KA006", "KA016", "KA050", "KA055", "KA056", "KA071", "KA080", "KA081"];
        Assert.Equal([], known.Except(seen).Except(elsewhere));
        // The simulator has the codes from KA200 on.
        Assert.All(known, code => Assert.True(string.CompareOrdinal(code, "KA200") < 0, code));
    }

    private static BalancerOnPath OnPath(string text) => text.Split('=') is [var name, var timeout]
        ? new(name.Length == 0 ? BalancerPresets.Unnamed : BalancerPresets.Find(name)!, int.Parse(timeout, CultureInfo.InvariantCulture))
        : new(BalancerPresets.Find(text)!);

    private static string Render(string text)
    {
        var read = PolicyReader.ReadText(text, "policy.yaml");
        var compiled = PolicyCompiler.Compile(read.Resources, OptionsOf(text));
        var diagnostics = read.Diagnostics.Concat(compiled.Diagnostics);
        if (Words(text, "balancers") is { } names)
        {
            diagnostics = diagnostics.Concat(BalancerCheck.Check(compiled, [.. names.Select(OnPath)]).Diagnostics);
        }

        var lines = new StringBuilder();
        lines.AppendJoin("", diagnostics.OrderBy(diagnostic => diagnostic.Position).Select(diagnostic => $"{diagnostic}\n"));
        lines.AppendJoin("", compiled.Policy.Rules.Select(rule => $"rule {rule}\n"));
        lines.AppendJoin("", compiled.Policy.ListenerRules.Select(rule => $"listener {rule}\n"));
        lines.AppendJoin("", compiled.Policy.Shadowed.Select(lost => $"lost {lost}\n"));
        foreach (var to in Words(text, "explain") ?? [])
        {
            Explain(lines, compiled.Policy, Endpoint.From(IPEndPoint.Parse(to)));
        }

        if (Words(text, "render") is not null)
        {
            var (rendered, leftOut) = DestinationRuleText.Write(compiled);
            lines.Append("render\n").Append(rendered).AppendJoin("", leftOut.Select(line => $"left out: {line}\n"));
        }

        return lines.ToString();
    }

    /// <summary>The DNS of a case: <c># hosts: NAME=ADDRESS,ADDRESS …</c>; a name in <c># stale:</c> no longer resolves.</summary>
    internal static CompilerOptions OptionsOf(string text)
    {
        var hosts = new Dictionary<string, IReadOnlyList<IPAddress>>();
        foreach (var pair in Words(text, "hosts") ?? [])
        {
            var parts = pair.Split('=');
            hosts.Add(parts[0], [.. parts[1].Split(',').Select(IPAddress.Parse)]);
        }

        return new CompilerOptions
        {
            ResolvedHosts = hosts,
            HostsNotResolving = (Words(text, "stale") ?? []).ToHashSet(),
            HostsCut = (Words(text, "cut") ?? []).ToHashSet(),
            Side = Words(text, "side") is ["both"] ? Side.Both : Side.Client,
        };
    }

    private static void Explain(StringBuilder lines, CompiledPolicy policy, Endpoint remote)
    {
        var explanation = Explanation.Of(policy, Endpoint.From(IPAddress.IPv6Any, 0), remote);
        lines.Append(CultureInfo.InvariantCulture, $"explain {remote}: {explanation.Winner?.ToString() ?? "no rule"}\n");
        lines.Append(explanation.Winner is { } winner ? $"  by {winner.Origin}\n" : "");
        lines.AppendJoin("", explanation.Losers.Select(lost => $"  not {lost}: {lost.Reason}\n"));
        lines.AppendJoin("", explanation.OtherPorts.Select(rule => $"  other port {rule}\n"));
    }

    /// <summary>The values of a comment at the top; null if it is missing.</summary>
    private static string[]? Words(string text, string key)
    {
        var line = text.Split('\n').TakeWhile(line => line.StartsWith('#')).FirstOrDefault(line => line.StartsWith($"# {key}:", StringComparison.Ordinal));
        return line?[$"# {key}:".Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
    }
}
