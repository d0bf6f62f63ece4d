using System.Text.RegularExpressions;
using Keepalive.Testbed;
using Xunit;
using YamlDotNet.RepresentationModel;

namespace Keepalive.Agent.Tests.Deploy;

/// <summary>What only a tag runs agrees with what it calls.</summary>
public sealed partial class ReleaseTests
{
    [Fact]
    public void Workflows_CommandsOfThisRepository_Exist()
    {
        var makefile = File.ReadAllText(Path.Combine(Repository.Root, "Makefile"));
        var commands = Directory.GetFiles(Path.Combine(Repository.Root, ".github", "workflows")).SelectMany(Runs).ToList();
        var targets = commands.SelectMany(command => Target().Matches(command)).SelectMany(match => match.Groups[1].Value.Split(' ')).ToList();

        Assert.Contains("release", targets);
        Assert.All(targets, target => Assert.Contains($"\n{target}:", makefile, StringComparison.Ordinal));
        Assert.Contains(commands, command => command.EndsWith(".ci/run", StringComparison.Ordinal));
        Assert.True(File.Exists(Path.Combine(Repository.Root, ".ci", "run")));
    }

    /// <summary>GitHub ignores a form that it cannot read.</summary>
    [Fact]
    public void IssueForms_Elements_HaveWhatGitHubRequires()
    {
        var forms = Directory.GetFiles(Path.Combine(Repository.Root, ".github", "ISSUE_TEMPLATE")).Where(file => !file.EndsWith("config.yml", StringComparison.Ordinal)).ToList();
        Assert.NotEmpty(forms);
        Assert.All(forms.Select(Read), form =>
        {
            Assert.All(new[] { "name", "description" }, key => Assert.NotEmpty(form.Text(key)!));
            var elements = form.At("body").Items().ToList();
            Assert.Contains(elements, element => element.Text("type") is "textarea" or "input");
            Assert.All(elements, element => Assert.NotEmpty(element.Text("attributes", element.Text("type") == "markdown" ? "value" : "label")!));
        });
    }

    [Fact]
    public void KrewManifest_PlaceholdersAndFiles_AreThoseOfTheReleaseScript()
    {
        var script = File.ReadAllText(Path.Combine(Repository.Root, "scripts", "release"));
        var file = Path.Combine(Repository.Root, "deploy", "krew", "keepalive.yaml");
        Assert.All(Placeholder().Matches(File.ReadAllText(file)), match => Assert.Matches($"s[/|]{match.Value}[/|]", script));
        var platform = Assert.Single(Read(file).At("spec", "platforms").Items());
        Assert.EndsWith("/keepalive-@VERSION@-linux-amd64.tar.gz", platform.Text("uri"), StringComparison.Ordinal);
        Assert.Equal("keepalive-agent", platform.Text("bin"));
        Assert.All(
            platform.At("files").Items(),
            copied => Assert.Contains(copied.Text("from")!["keepalive-@VERSION@/".Length..], script, StringComparison.Ordinal));
    }

    /// <summary>Without a shell of its own a step in a container is run by sh, which in Debian's images knows no here-string.</summary>
    [Fact]
    public void Workflows_JobsInAContainer_NameTheirShell()
    {
        var jobs = Directory.GetFiles(Path.Combine(Repository.Root, ".github", "workflows"))
            .SelectMany(static file => ((YamlMappingNode)Read(file).At("jobs")!).Children.Values).Where(static job => job.At("container") is not null).ToList();
        Assert.NotEmpty(jobs);
        Assert.All(jobs, static job => Assert.Equal("bash", job.Text("defaults", "run", "shell")));
    }

    /// <summary>The name of the repository is known when a release is made, and stands in pages for people to replace; nothing else has it.</summary>
    [Fact]
    public void PlaceholderOfTheRepository_InWhatGitHubAndKrewRead_IsNone()
    {
        var files = Directory.GetFiles(Path.Combine(Repository.Root, ".github"), "*", SearchOption.AllDirectories)
            .Append(Path.Combine(Repository.Root, "deploy", "krew", "keepalive.yaml"));
        Assert.All(files, static file => Assert.DoesNotContain("OWNER/REPOSITORY", File.ReadAllText(file), StringComparison.Ordinal));
    }

    private static IEnumerable<string> Runs(string workflow) => Read(workflow).At("jobs") is YamlMappingNode jobs
        ? jobs.Children.Values.SelectMany(job => job.At("steps").Items()).Select(step => step.Text("run")).OfType<string>()
        : [];

    private static YamlNode Read(string file)
    {
        var stream = new YamlStream();
        stream.Load(new StringReader(File.ReadAllText(file)));
        return stream.Documents.Single().RootNode;
    }

    [GeneratedRegex("^make ([a-z -]+)$", RegexOptions.Multiline)]
    private static partial Regex Target();

    [GeneratedRegex("@[A-Z0-9]+@")]
    private static partial Regex Placeholder();
}
