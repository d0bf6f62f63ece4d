using ArchUnitNET.Domain;
using ArchUnitNET.Domain.Dependencies;
using ArchUnitNET.Loader;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>The layers of the agent's folders: a reference goes to a lower layer, never up and never sideways. A folder is a namespace,
/// which the compiler enforces.</summary>
public sealed class FloorTests
{
    private const string Root = "Keepalive.Agent";

    private static readonly Dictionary<string, int> s_floors = new()
    {
        [Root] = 10,
        ["Commands"] = 9,
        ["Top"] = 8,
        ["Running"] = 7,
        ["Serving"] = 6,
        ["Reports"] = 5,
        ["Metrics"] = 5,
        ["Health"] = 5,
        ["Liveness"] = 4,
        ["Audit"] = 4,
        ["Capture"] = 3,
        ["Kubernetes"] = 3,
        ["Apply"] = 2,
        ["Policies"] = 1,
        ["Sockets"] = 1,
        ["Workloads"] = 0,
        ["Support"] = 0,
        ["Log"] = 0,
    };

    private static readonly Lazy<IReadOnlyList<Arrow>> s_agentsArrows = new(static () => [.. ArrowsOf("Agent", "keepalive-agent.dll", Root)]);

    [Fact]
    public void Agent_Folders_EachHaveALayer() =>
        Assert.Empty(s_agentsArrows.Value.SelectMany(arrow => new[] { Folder(arrow.From), Folder(arrow.To) }).Distinct().Except(s_floors.Keys));

    [Fact]
    public void Agent_References_GoToLowerLayers()
    {
        var up = s_agentsArrows.Value.Where(arrow => Folder(arrow.From) != Folder(arrow.To) && s_floors[Folder(arrow.From)] <= s_floors[Folder(arrow.To)]).ToList();
        Assert.Empty(up.Select(arrow => $"{arrow.From} → {arrow.To}: {arrow.Example}"));
    }

    [Fact]
    public void Datapaths_References_NoneToEachOther() =>
        Assert.DoesNotContain(s_agentsArrows.Value, arrow => (arrow.From, arrow.To) is ($"{Root}.Apply.Bpf", $"{Root}.Apply.Pidfd") or ($"{Root}.Apply.Pidfd", $"{Root}.Apply.Bpf"));

    /// <summary>A process chooses its own name, so one place makes names safe for a terminal.</summary>
    [Fact]
    public void ProcessNames_OfTheAgent_AreReadInOnePlace()
    {
        var callers = Load("Agent", "keepalive-agent.dll").Types
            .Where(type => type.Dependencies.OfType<MethodCallDependency>().Any(call => call.Target.FullName == "Keepalive.Linux.Processes.ProcFs" && call.TargetMember.Name.StartsWith("Command(", StringComparison.Ordinal)))
            .Select(type => type.Name);

        Assert.Equal(["ProcessName"], callers);
    }

    [Theory]
    [InlineData("Agent", "keepalive-agent.dll", Root)]
    [InlineData("Linux", "Keepalive.Linux.dll", "Keepalive.Linux")]
    [InlineData("Probes", "Keepalive.Probes.dll", "Keepalive.Probes")]
    [InlineData("CommandLine", "Keepalive.CommandLine.dll", "Keepalive.CommandLine")]
    [InlineData("Config", "Keepalive.Config.dll", "Keepalive.Config")]
    [InlineData("Simulator", "keepalive-sim.dll", "Keepalive.Simulator")]
    public void Namespaces_HaveNoCircle(string project, string assembly, string root)
    {
        var arrows = ArrowsOf(project, assembly, root).ToLookup(arrow => arrow.From, arrow => arrow.To);
        foreach (var group in arrows.OrderBy(group => group.Key, StringComparer.Ordinal))
        {
            TestContext.Current.TestOutputHelper?.WriteLine($"{group.Key} → {string.Join(", ", group.Order(StringComparer.Ordinal).Select(to => to == root ? "(root)" : to[(root.Length + 1)..]))}");
        }
        HashSet<string> done = [];
        foreach (var start in arrows.Select(group => group.Key))
        {
            Follow(start, []);
        }

        void Follow(string at, List<string> path)
        {
            Assert.False(path.Contains(at), $"{string.Join(" → ", path)} → {at}");
            if (!done.Contains(at))
            {
                foreach (var next in arrows[at])
                {
                    Follow(next, [.. path, at]);
                }
                done.Add(at);
            }
        }
    }

    private static string Folder(string ns) => ns == Root ? Root : ns[(Root.Length + 1)..].Split('.')[0];

    private static Architecture Load(string project, string assembly) =>
        new ArchLoader().LoadFilteredDirectory(Path.Combine(Repository.Root, "src", project, "bin", Repository.Configuration, "net10.0"), assembly).Build();

    private static IEnumerable<Arrow> ArrowsOf(string project, string assembly, string root)
    {
        return Load(project, assembly).Types
            .SelectMany(type => type.Dependencies.Where(dependency => dependency.Target is not GenericParameter).Select(dependency => (From: type.Namespace?.FullName ?? "", To: dependency.Target.Namespace?.FullName ?? "", Example: $"{type.Name} knows {dependency.Target.Name}")))
            .Where(found => found.From != found.To && IsOf(found.From) && IsOf(found.To))
            .GroupBy(found => (found.From, found.To))
            .Select(group => new Arrow(group.Key.From, group.Key.To, group.First().Example));

        bool IsOf(string ns) => ns == root || ns.StartsWith(root + ".", StringComparison.Ordinal);
    }

    private sealed record Arrow(string From, string To, string Example);
}
