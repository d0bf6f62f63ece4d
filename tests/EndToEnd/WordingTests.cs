using System.Text.RegularExpressions;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>Pages, help and the texts of the sources are written in plain English.</summary>
public sealed partial class WordingTests
{
    // They quote the phrases.
    private static readonly string[] s_quoting = ["tests/EndToEnd/Wording.cs", "tests/EndToEnd/WordingTests.cs"];

    public static TheoryData<string> Pages =>
        [.. Page.All, .. Directory.GetFiles(Path.Combine(Repository.Root, "examples"), "*.yaml", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(Repository.Root, file))];

    [Theory]
    [MemberData(nameof(Pages))]
    public void Page_Wording_IsPlain(string path)
    {
        // One sentence may have a line's end in it. Headings may begin with What.
        string text = path.EndsWith(".md", StringComparison.Ordinal)
            ? string.Join('\n', Page.Read(path).Prose.Where(line => !line.StartsWith('#')))
            : File.ReadAllText(Path.Combine(Repository.Root, path)).Replace("# ", "", StringComparison.Ordinal);
        Assert.Empty(Wording.Problems(text.Replace("\n\n", "\r", StringComparison.Ordinal).Replace('\n', ' ').Replace('\r', '\n')));
    }

    /// <summary>Comments and texts of the folders that are clean. The list may only become longer.</summary>
    [Theory]
    [InlineData("src/Agent/Apply")]
    [InlineData("src/Agent/Audit")]
    [InlineData("src/Agent/Bpf")]
    [InlineData("src/Agent/Capture")]
    [InlineData("src/Agent/Commands")]
    [InlineData("src/Agent/Health")]
    [InlineData("src/Agent/Kubernetes")]
    [InlineData("src/Agent/Liveness")]
    [InlineData("src/Agent/Log")]
    [InlineData("src/Agent/Metrics")]
    [InlineData("src/Agent/Policies")]
    [InlineData("src/Agent/Reports")]
    [InlineData("src/Agent/Running")]
    [InlineData("src/Agent/Serving")]
    [InlineData("src/Agent/Sockets")]
    [InlineData("src/Agent/Support")]
    [InlineData("src/Agent/Workloads")]
    [InlineData("src/CommandLine")]
    [InlineData("src/Config")]
    [InlineData("src/Linux")]
    [InlineData("src/Native")]
    [InlineData("src/Probes")]
    [InlineData("src/Simulator")]
    [InlineData("deploy")]
    [InlineData("scripts")]
    [InlineData("tests/Agent.Tests")]
    [InlineData("tests/Benchmarks")]
    [InlineData("tests/CommandLine.Tests")]
    [InlineData("tests/Config.Tests")]
    [InlineData("tests/EndToEnd")]
    [InlineData("tests/FakeCluster")]
    [InlineData("tests/Fuzz")]
    [InlineData("tests/Fuzzing")]
    [InlineData("tests/Kernels")]
    [InlineData("tests/Linux.Tests")]
    [InlineData("tests/Packets")]
    [InlineData("tests/Probes.Tests")]
    [InlineData("tests/Shared")]
    [InlineData("tests/Simulator.Tests")]
    public void Source_Wording_IsPlain(string directory)
    {
        var files = Directory.GetFiles(Path.Combine(Repository.Root, directory), "*", SearchOption.AllDirectories)
            .Where(file => !file.Split('/').Any(part => part is "bin" or "obj"))
            .Where(file => Path.GetExtension(file) is ".cs" or ".c" or ".h" or ".yaml" or ".service" or "")
            .Where(file => !s_quoting.Contains(Path.GetRelativePath(Repository.Root, file))).ToList();
        Assert.NotEmpty(files);
        Assert.Empty(files.SelectMany(file => Wording.Problems(Text(file)).Select(problem => $"{Path.GetRelativePath(Repository.Root, file)}: {problem}")));
    }

    [Theory]
    [InlineData("Gave back 10.0.0.1")]
    [InlineData("gives every socket its values back")]
    [InlineData("bpf cannot be had")]
    [InlineData("It is left alone from then on")]
    [InlineData("lines are told with their effect")]
    [InlineData("No process but the agent is to be seen")]
    [InlineData("What kernels ignore does no harm")]
    [InlineData("It ends. What befalls many at once is 50 lines a second and their sum")]
    [InlineData("Who reads less than 1 KiB a second is cut off.")]
    [InlineData("No wait: whoever asked reads them")]
    public void Problems_PhraseOfTheList_IsFound(string text) => Assert.NotEmpty(Wording.Problems(text));

    [Theory]
    [InlineData("What does the agent say of the socket?")]
    [InlineData("Restored 10.0.0.1")]
    [InlineData("The balancer forgets a connection after 350 s.")]
    [InlineData("Give the value. Go back later.")]
    public void Problems_PlainSentence_HasNone(string text) => Assert.Empty(Wording.Problems(text));

    private static string Text(string file) =>
        InvalidInput().Replace(ContinuedComment().Replace(File.ReadAllText(file), " "), "");

    [GeneratedRegex(@"\n\s*///? ?(?=[a-z(])")]
    private static partial Regex ContinuedComment();

    // The input of some tests is this word because it is invalid.
    [GeneratedRegex(@"(?<=[""/])nonsense(?="")|\becho nonsense >")]
    private static partial Regex InvalidInput();
}
