using System.Net;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.RegularExpressions;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Xunit;

namespace Keepalive.Config.Tests;

/// <summary>
/// One folder for each case: policy.yaml and what the reader and the compiler make of it. A first line "# hosts: NAME=ADDRESS…" in
/// the policy is the DNS of the case. KEEPALIVE_UPDATE_CASES=1 writes the expectations anew, to be read before they are committed.
/// </summary>
public sealed class CaseTests
{
    internal static string Root([CallerFilePath] string file = "") => Path.Combine(Path.GetDirectoryName(file)!, "cases");

    public static TheoryData<string> Cases() =>
        [.. Directory.EnumerateDirectories(Root()).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Policy_ReadAndCompiled_SaysWhatIsExpected(string name)
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

        // Those of files and of sizes have tests of their own.
        string[] elsewhere = ["KA001", "KA002", "KA003", "KA005", "KA006", "KA016", "KA050"];
        Assert.Equal([], known.Except(seen).Except(elsewhere));
    }

    private static string Render(string text)
    {
        var read = PolicyReader.ReadText(text, "policy.yaml");
        var hosts = new Dictionary<string, IReadOnlyList<IPAddress>>();
        if (text.StartsWith("# hosts:", StringComparison.Ordinal))
        {
            foreach (var pair in text.Split('\n')[0]["# hosts:".Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries))
            {
                var parts = pair.Split('=');
                hosts.Add(parts[0], [.. parts[1].Split(',').Select(IPAddress.Parse)]);
            }
        }

        var compiled = PolicyCompiler.Compile(read.Resources, new CompilerOptions { ResolvedHosts = hosts });
        var lines = new StringBuilder();
        foreach (var diagnostic in read.Diagnostics.Concat(compiled.Diagnostics).OrderBy(diagnostic => diagnostic.Position))
        {
            lines.Append(diagnostic).Append('\n');
        }

        foreach (var rule in compiled.Policy.Rules)
        {
            lines.Append("rule ").Append(rule).Append('\n');
        }

        foreach (var rule in compiled.Policy.Shadowed)
        {
            lines.Append("lost ").Append(rule).Append('\n');
        }

        return lines.ToString();
    }
}
