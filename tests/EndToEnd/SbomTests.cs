using System.Text.Json;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>The SBOM lists what NoticesTests proves that the programs contain.</summary>
public sealed class SbomTests
{
    private static readonly Page s_notices = Page.Read("THIRD-PARTY-NOTICES.md");

    [Fact]
    public void Components_OfBothPrograms_AreThoseOfTheNotices()
    {
        var components = Components();
        Assert.Equal(
            s_notices.Prose.SkipWhile(line => line != "## Packages").Skip(1).TakeWhile(line => !line.StartsWith('#'))
                .Where(line => line.StartsWith('|')).Skip(2).Select(line => line.Trim('|', ' ').Split(" | ")[0]).Order(StringComparer.Ordinal),
            components.Where(part => part[0] == "nuget").Select(part => part[1]).Order(StringComparer.Ordinal));
        Assert.Equal(["keepalive-agent", "keepalive-sim"], components.Where(part => part[0] == "program").Select(part => part[1]));
        Assert.All(components, part => Assert.Matches(@"^\d", part[2]));
        // A program of `make quick` has no library linked in.
        if (File.ReadAllText(ProgramRun.AgentPath + ".build").StartsWith("ahead of time", StringComparison.Ordinal))
        {
            Assert.Superset(new HashSet<string> { "libpcap.a", "libbpf.a", "libelf.a", "libz.a" }, components.Where(part => part[0] == "static").Select(part => part[1]).ToHashSet());
        }
    }

    [Fact]
    public void Document_OfComponents_IsSpdxAndTheSameAgain()
    {
        var document = Document();
        var root = JsonDocument.Parse(document).RootElement;

        Assert.Equal(document, Document());
        Assert.Equal(("SPDX-2.3", "2026-01-02T03:04:05Z"), (root.GetProperty("spdxVersion").GetString(), root.GetProperty("creationInfo").GetProperty("created").GetString()));
        var packages = root.GetProperty("packages").EnumerateArray().Select(package => package.GetProperty("SPDXID").GetString()).ToList();
        Assert.Equal(packages.Count, packages.Distinct().Count());
        Assert.Equal(Components().Count + 1, packages.Count);
        // Each package is related to the one that is described.
        Assert.Equal(packages, root.GetProperty("relationships").EnumerateArray().Select(relation => relation.GetProperty("relatedSpdxElement").GetString()));
        Assert.Contains("pkg:nuget/YamlDotNet@", document, StringComparison.Ordinal);
    }

    private static List<string[]> Components() =>
        [.. Command.Run(Script("components"), "keepalive-agent", "keepalive-sim").Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split('\t'))];

    private static string Document() =>
        Command.Run("bash", "-c", $"'{Script("components")}' keepalive-agent keepalive-sim | '{Script("sbom")}' keepalive 0.1.0 1767323045").Output;

    private static string Script(string name) => Path.Combine(Repository.Root, "scripts", name);
}
