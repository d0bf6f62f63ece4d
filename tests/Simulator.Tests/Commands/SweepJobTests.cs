using Keepalive.Testbed;
using Xunit;
using YamlDotNet.RepresentationModel;

namespace Keepalive.Simulator.Tests.Commands;

/// <summary>deploy/sweep, run as an Indexed Job runs it.</summary>
public sealed class SweepJobTests : IDisposable
{
    private static readonly string s_deploy = Path.Combine(Repository.Root, "deploy", "sweep");

    private readonly string _directory = Directory.CreateTempSubdirectory("keepalive-job-test-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    /// <summary>Each pod's log is a shard, and merged they are the whole.</summary>
    [Fact]
    public void Job_EachIndexRun_MergesToTheWhole()
    {
        var built = Build();
        var job = built.Single(node => Text(node, "kind") == "Job");
        var map = built.Single(node => Text(node, "kind") == "ConfigMap");
        var (pod, completions) = (At(job, "spec", "template", "spec"), int.Parse(Text(job, "spec", "completions"), System.Globalization.CultureInfo.InvariantCulture));
        var container = Assert.Single(((YamlSequenceNode)At(pod, "containers")).Children);
        foreach (var (file, text) in ((YamlMappingNode)At(map, "data")).Children)
        {
            File.WriteAllText(Path.Combine(_directory, ((YamlScalarNode)file).Value!), ((YamlScalarNode)text).Value);
        }
        var mount = Assert.Single(((YamlSequenceNode)At(container, "volumeMounts")).Children);
        var volume = Assert.Single(((YamlSequenceNode)At(pod, "volumes")).Children);
        Assert.Equal((Text(volume, "name"), Text(map, "metadata", "name")), (Text(mount, "name"), Text(volume, "configMap", "name")));
        Assert.Equal("/usr/bin/keepalive-sim", Assert.Single(Words(container, "command")));
        Assert.Contains("ENTRYPOINT [\"/usr/bin/keepalive-sim\"]", File.ReadAllText(Path.Combine(Repository.Root, "Dockerfile")), StringComparison.Ordinal);
        Assert.Equal(("Indexed", 8), (Text(job, "spec", "completionMode"), completions));

        // Fewer connections, for a test of the wiring.
        var arguments = Words(container, "args").Select(word => word.Replace(Text(mount, "mountPath"), _directory, StringComparison.Ordinal)).Append("--set=connections=20").ToList();
        List<string> logs = [];
        for (var index = 0; index < completions; index++)
        {
            // The kubelet fills variables of the container in, and the Job's controller gives it this one.
            var shard = Simulate(arguments.Select(word => word.Replace("$(JOB_COMPLETION_INDEX)", $"{index}", StringComparison.Ordinal)));
            Assert.Equal((0, ""), (shard.ExitCode, shard.Error));
            logs.Add(Path.Combine(_directory, $"{index}.log"));
            File.WriteAllText(logs[^1], shard.Output);
        }
        var whole = Simulate(arguments.Where(word => !word.StartsWith("--shard=", StringComparison.Ordinal)));
        var merged = Simulate(["merge", .. logs, "-o", "json"]);

        Assert.Equal((0, "", 40), (whole.ExitCode, whole.Error, whole.Lines.Count()));
        Assert.Equal((0, "", whole.Output), (merged.ExitCode, merged.Error, merged.Output));
    }

    /// <summary>An exit code for which every shard fails ends the Job; a killed pod is replaced.</summary>
    [Fact]
    public void Job_ExitCodes_AreThoseOfTheProgram()
    {
        var job = Build().Single(node => Text(node, "kind") == "Job");
        var rules = ((YamlSequenceNode)At(job, "spec", "podFailurePolicy", "rules")).Children;
        Assert.Equal(("Ignore", "FailJob"), (Text(rules[0], "action"), Text(rules[1], "action")));
        var codes = Words(At(rules[1], "onExitCodes"), "values");
        Assert.Equal(["1", "2"], codes);
        Assert.Equal("Never", Text(job, "spec", "template", "spec", "restartPolicy"));

        var scenario = Path.Combine(_directory, "wrong.yaml");
        File.WriteAllText(scenario, "balancer: aws-nlb\n");
        Assert.Equal(1, Simulate(["sweep", scenario, "--set=seed=1,2", "--shard=0/2", "-o", "json"]).ExitCode);
        Assert.Equal(2, Simulate(["sweep", scenario, "--set=seed=1,2", "--shard=2/2", "-o", "json"]).ExitCode);
    }

    private static List<YamlNode> Build()
    {
        var stream = new YamlStream();
        stream.Load(new StringReader(Command.Run(Tools.Kubectl, "kustomize", s_deploy).Output));
        return [.. stream.Documents.Select(document => document.RootNode)];
    }

    private static CommandResult Simulate(IEnumerable<string> arguments) => ProgramRun.ToEnd([ProgramRun.SimulatorPath, .. arguments], timeout: TimeSpan.FromMinutes(5));

    private static YamlNode At(YamlNode node, params string[] keys) => keys.Aggregate(node, (at, key) => at[key]);

    private static string Text(YamlNode node, params string[] keys) => ((YamlScalarNode)At(node, keys)).Value!;

    private static List<string> Words(YamlNode node, string key) => [.. ((YamlSequenceNode)node[key]).Children.Select(word => ((YamlScalarNode)word).Value!)];
}
