using System.Collections.Immutable;
using System.CommandLine;
using System.CommandLine.Parsing;
using Keepalive.Agent.Kubernetes;

namespace Keepalive.Agent.Commands;

/// <summary>The options of commands that read a cluster through kubectl. As a plugin of kubectl, the program reads one without
/// them.</summary>
/// <param name="files">The files of the command line, which a plugin reads instead; null if the command has none.</param>
internal sealed class ClusterScope(Argument<string[]>? files = null)
{
    private static readonly TimeSpan s_defaultTimeout = TimeSpan.FromSeconds(30);

    private readonly Option<bool> _cluster = new("--cluster") { Description = "Read the cluster of kubectl's current context" };

    private readonly Option<string?> _context = new("--context") { Description = "Read the cluster of this context", HelpName = "NAME" };

    private readonly Option<string?> _kubeconfig = new("--kubeconfig") { Description = "Read the cluster of this kubeconfig", HelpName = "FILE" };

    private readonly Option<TimeSpan> _timeout = DurationOption.Create(
        "--timeout", $"Longest time that kubectl may print nothing (default {s_defaultTimeout.TotalSeconds}s)", TimeSpan.FromMilliseconds(100), TimeSpan.FromHours(1));

    private readonly Option<string> _namespace = new("--agent-namespace")
    {
        Description = "Namespace of the agents",
        HelpName = "NAME",
        DefaultValueFactory = _ => AgentPods.DefaultNamespace,
    };

    /// <summary>The names of the options, for the help.</summary>
    public static string[] Names { get; } = ["--cluster", "--context", "--kubeconfig", "--timeout"];

    /// <summary>The same with the namespace of the agents.</summary>
    public static string[] NamesWithAgents { get; } = [.. Names, "--agent-namespace"];

    /// <summary>Adds the options to a command that reads objects.</summary>
    public void AddTo(Command command) => Add(command, [_cluster, _context, _kubeconfig, _timeout]);

    /// <summary>Adds the options to a command that can ask the agents of all nodes.</summary>
    /// <param name="command">The command.</param>
    /// <param name="ofOneNode">Options that are about this node only.</param>
    public void AddWithAgentsTo(Command command, params Option[] ofOneNode)
    {
        Add(command, [_cluster, _context, _kubeconfig, _timeout, _namespace]);
        command.AddRule(result =>
        {
            if (IsWanted(result))
            {
                foreach (var option in ofOneNode.Where(option => Given(result, option)))
                {
                    result.AddError($"{option.Name} is about one node, and --cluster asks all");
                }
            }
        });
    }

    /// <summary>Whether a cluster is to be read.</summary>
    public bool IsWanted(CommandResult result) => result.GetValue(_cluster) || Given(result, _context) || Given(result, _kubeconfig)
        || (BuildInformation.IsKubectlPlugin && (files is null || result.GetResult(files) is null or { Tokens.Count: 0 }));

    /// <summary>Runs kubectl as the options say.</summary>
    public Kubectl Start(ParseResult result) => new(
        new KubectlOptions(result.GetValue(_context), result.GetValue(_kubeconfig), result.GetValue(_timeout) is { Ticks: > 0 } given ? given : s_defaultTimeout),
        Complaint.Say);

    /// <summary>The agents of all nodes; null if there are none, which is reported.</summary>
    /// <exception cref="KubectlException">They cannot be found.</exception>
    public async Task<AgentFleet?> FindAgentsAsync(ParseResult result, CancellationToken stop)
    {
        var kubectl = Start(result);
        var ns = result.GetValue(_namespace)!;
        var pods = await AgentPods.FindAsync(kubectl, ns, stop);
        if (pods.IsEmpty)
        {
            Complaint.Say($"no agent was found: namespace {ns} has no pod with the label {AgentPods.Label}. Is the DaemonSet in another one? Name it with {_namespace.Name}");
            return null;
        }
        return new AgentFleet(kubectl, pods);
    }

    /// <summary>Returns an option and its values as they were written; nothing if it was not given.</summary>
    public static IEnumerable<string> AsWritten(ParseResult result, params Option[] options) => options
        .Select(option => result.GetResult(option)).OfType<OptionResult>().Where(static one => !one.Implicit)
        .SelectMany(static one => one.Tokens.Count == 0 ? [one.Option.Name] : one.Tokens.SelectMany(token => (string[])[one.Option.Name, token.Value]));

    private void Add(Command command, ImmutableArray<Option> options)
    {
        foreach (var option in options)
        {
            command.Options.Add(option);
        }
        command.AddRule(result =>
        {
            if (!IsWanted(result))
            {
                foreach (var option in options.Where(option => (option == _timeout || option == _namespace) && Given(result, option)))
                {
                    result.AddError($"{option.Name} belongs to --cluster, --context and --kubeconfig");
                }
            }
        });
    }

    private static bool Given(CommandResult result, Option option) => result.GetResult(option) is { Implicit: false };
}
