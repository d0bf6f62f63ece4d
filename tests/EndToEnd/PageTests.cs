using System.Text.RegularExpressions;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>The pages agree with the repository and with the programs.</summary>
public sealed partial class PageTests
{
    /// <summary>Options of other programs that the pages mention.</summary>
    private static readonly string[] s_othersOptions = ["--pid", "--privileged"];

    public static TheoryData<string> Pages => [.. Page.All];

    [Fact]
    public void Readme_Size_IsAtMost6KiB() => Assert.InRange(new FileInfo(Path.Combine(Repository.Root, "README.md")).Length, 1000, 6 * 1024);

    [Fact]
    public void Docs_AllPages_Exist()
    {
        string[] subjects =
        [
            "policies", "kubernetes", "datapaths", "liveness", "service", "metrics", "probes", "lab", "virtual-time", "balancers", "dependencies",
            "architecture", "security", "troubleshooting", "packages", "images", "meshes",
        ];
        Assert.Superset(subjects.Select(subject => $"docs/{subject}.md").ToHashSet(), Page.All.ToHashSet());
        // The README links to each page.
        var linked = LinksOf(Page.Read("README.md")).Select(link => link.Split('#')[0]);
        Assert.Superset(Page.All.Where(path => path.StartsWith("docs/", StringComparison.Ordinal)).ToHashSet(), linked.ToHashSet());
    }

    [Theory]
    [MemberData(nameof(Pages))]
    public void Page_EachLink_LeadsSomewhere(string path)
    {
        var page = Page.Read(path);
        Assert.All(LinksOf(page), link =>
        {
            string[] parts = link.Split('#', 2);
            string target = parts[0].Length == 0 ? path : Path.GetRelativePath(Repository.Root, Path.Combine(Path.GetDirectoryName(page.FullPath)!, parts[0]));
            Assert.True(Path.Exists(Path.Combine(Repository.Root, target)), $"{path}: {link}: there is no {target}");
            Assert.True(parts.Length == 1 || Page.Read(target).Anchors.Contains(parts[1]), $"{path}: {link}: {target} has no such heading");
        });
    }

    [Theory]
    [InlineData("Which rule wins", "which-rule-wins")]
    [InlineData("503 with the flag UC", "503-with-the-flag-uc")]
    [InlineData("Stop, start and state", "stop-start-and-state")]
    [InlineData("Where do I change …", "where-do-i-change-")]
    public void Anchor_OfAHeading_IsGitHubs(string heading, string anchor) => Assert.Equal(anchor, Page.Anchor(heading));

    /// <summary>Paths in backticks that begin with a directory of the repository.</summary>
    [Theory]
    [MemberData(nameof(Pages))]
    public void Page_EachPathInTheRepository_Exists(string path) =>
        Assert.All(
            Page.Read(path).Prose.SelectMany(line => PathInRepository().Matches(line)).Select(match => match.Groups[1].Value),
            named => Assert.True(Path.Exists(Path.Combine(Repository.Root, named)), $"{path}: {named}"));

    [Theory]
    [MemberData(nameof(Pages))]
    public void Page_YamlOfAnExample_IsTheFile(string path)
    {
        foreach (var block in Page.Read(path).Blocks.Where(block => block.Info == "yaml" && block.Lines[0].StartsWith("# examples/", StringComparison.Ordinal)))
        {
            var file = File.ReadAllLines(Path.Combine(Repository.Root, block.Lines[0][2..]));
            Assert.Equal(file.SkipWhile(line => line.StartsWith('#')), block.Lines.Skip(1));
        }
    }

    /// <summary>Commands that a test cannot run, because they change a cluster or build for minutes. Their syntax and options are
    /// checked.</summary>
    [Theory]
    [MemberData(nameof(Pages))]
    public void Page_CommandsThatAreNotRun_AreWellFormed(string path)
    {
        foreach (string command in Page.Read(path).Blocks.Where(block => block.Info == "sh").SelectMany(block => block.Lines))
        {
            string[] words = command.Replace(" &", "", StringComparison.Ordinal).Split(' ');
            switch (words[0])
            {
                case "make":
                    Assert.Contains($"\n{words[1]}:", File.ReadAllText(Path.Combine(Repository.Root, "Makefile")), StringComparison.Ordinal);
                    break;
                // Programs of others that change a system, or ask a release's home.
                case "apt" or "buildah" or "gh" or "sha256sum" or "systemctl":
                    break;
                case "kubectl":
                    foreach (string named in words.Where(word => word.StartsWith("deploy/", StringComparison.Ordinal)))
                    {
                        Assert.True(File.Exists(Path.Combine(Repository.Root, named, "kustomization.yaml")), $"{path}: {command}");
                    }
                    if (Array.IndexOf(words, "--") is > 0 and var end)
                    {
                        AssertUnderstood(string.Join(' ', words[(end + 1)..]));
                    }
                    break;
                case "helm" or "envsubst":
                    AssertUnderstood(command[(command.IndexOf('|', StringComparison.Ordinal) + 2)..]);
                    break;
                default:
                    AssertUnderstood(string.Join(' ', words));
                    break;
            }
        }
    }

    [Fact]
    public void Options_OfThePrograms_AreAllDocumentedAndNoOthers()
    {
        var help = Programs.All.SelectMany(command => Option().Matches(ProgramRun.ToEnd([.. command, "--help"]).Output)).Select(match => match.Value).ToHashSet();
        var pages = Page.All.Where(path => path.StartsWith("docs/", StringComparison.Ordinal)).Select(Page.Read).ToList();
        var written = pages.SelectMany(page => page.Lines).SelectMany(line => CodeSpan().Matches(line)).Select(span => span.Value)
            .Concat(pages.SelectMany(page => page.Blocks).SelectMany(block => block.Lines))
            .Where(text => !OthersCommand().IsMatch(text))
            .SelectMany(text => Option().Matches(text)).Select(match => match.Value).ToHashSet();

        Assert.Empty(help.Except(written).Except(["--help", "--version", "--output"]).Order());
        Assert.Empty(written.Except(help).Except(s_othersOptions).Order());
    }

    /// <summary>The unknown option is the only error, so the rest is valid.</summary>
    private static void AssertUnderstood(string command)
    {
        string name = command.Split(' ')[0];
        string program = name switch
        {
            "keepalive-agent" => ProgramRun.AgentPath,
            "keepalive-sim" => ProgramRun.SimulatorPath,
            _ => throw new FormatException($"no test knows what {command} is"),
        };
        var result = ProgramRun.ToEnd(["bash", "-c", $"{name}() {{ '{program}' \"$@\"; }}; {command} --no-such-option"]);
        Assert.Equal(2, result.ExitCode);
        string complaint = Assert.Single(result.Error.Split('\n'), line => line.StartsWith($"{name}: ", StringComparison.Ordinal));
        Assert.Contains("--no-such-option", complaint, StringComparison.Ordinal);
    }

    private static IEnumerable<string> LinksOf(Page page) =>
        page.Prose.SelectMany(line => Link().Matches(CodeSpan().Replace(line, "code"))).Select(match => match.Groups[1].Value)
            .Where(link => !link.StartsWith("https://", StringComparison.Ordinal));

    [GeneratedRegex(@"\]\(([^)]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex("`[^`]+`")]
    private static partial Regex CodeSpan();

    [GeneratedRegex("`((?:src|tests|docs|deploy|examples|scripts|licenses)/[A-Za-z0-9_./-]+)[^`]*`")]
    private static partial Regex PathInRepository();

    [GeneratedRegex(@"(?<![\w-])--[a-z][a-z-]*")]
    private static partial Regex Option();

    [GeneratedRegex(@"^[`$# ]*(?:kubectl|tcpdump|ss|ipvsadm|make|docker|dotnet|curl|unshare|apt|buildah|gh|sha256sum|systemctl)\b(?!.* -- keepalive)|^`--set \d|^`--pid|ARGS=")]
    private static partial Regex OthersCommand();
}
