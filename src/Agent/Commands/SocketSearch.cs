using System.Text;
using System.Text.Json;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Reports;
using Keepalive.Agent.Serving;
using Keepalive.Agent.Sockets;
using Keepalive.Config;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Commands;

/// <summary>Finds live sockets of the node and explains each: <c>explain --socket</c>. Changes nothing.</summary>
internal sealed class SocketSearch
{
    /// <summary>Sockets that are explained at most. An end may be that of thousands.</summary>
    private const int MaxExplained = 20;

    private string? _problem;

    public required WantedSocket Wanted { get; init; }

    /// <summary>The policies of the command line; null if there are none: the running agent's are used.</summary>
    public required PolicyInput? Input { get; init; }

    public required string[] Policies { get; init; }

    public required KeepaliveSettings? Keepalive { get; init; }

    public required Side Side { get; init; }

    public required string[] Namespaces { get; init; }

    public required string StateDirectory { get; init; }

    public required ClusterOptions? Cluster { get; init; }

    public required TextWriter Output { get; init; }

    public int Explain(OutputFormat format, CancellationToken stop)
    {
        var found = new Found(Wanted);
        var survey = new NodeSurvey
        {
            Policies = Policies,
            Keepalive = Keepalive,
            Side = Side,
            Namespaces = Namespaces,
            StateDirectory = StateDirectory,
            States = TcpStates.Connections | TcpStates.Listen,
            Cluster = Cluster,
        };
        return survey.Take(
            found,
            (_, pods) =>
            {
                if (found.Records.Count == 0)
                {
                    return Complaint.Say(ExitCodes.InvalidInput, $"no TCP socket here has {(Wanted.End is null ? "cookie" : "the end")} {TerminalText.Mask(Wanted.Text)}");
                }
                var text = new StringBuilder();
                foreach (var record in found.Records.Values.Take(MaxExplained))
                {
                    var explanation = Explain(record, found.IsAccepted(in record), survey, pods, stop);
                    if (format == OutputFormat.Json)
                    {
                        AgentJson.Lines.Append(text, explanation.WriteJson);
                    }
                    else
                    {
                        explanation.WriteText(text);
                    }
                }
                Output.Write(text);
                if (found.Records.Count > MaxExplained)
                {
                    Complaint.Say($"{found.Records.Count - MaxExplained} more sockets have that end; name one by its other end or its cookie");
                }
                return ExitCodes.Done;
            },
            stop);
    }

    private SocketExplanation Explain(in SocketRecord record, bool isAccepted, NodeSurvey survey, PodDirectory? pods, CancellationToken stop)
    {
        var (source, rules) = (RuleSource.None, (AgentsExplanation?)null);
        // One that listens has no remote end to ask about.
        var isConnection = record.State != TcpState.Listen;
        if (Input is null && _problem is null && isConnection)
        {
            var reply = AgentClient.Explain(
                StateDirectory, record.Remote.ToString(), record.Local.ToString(), (record.Namespace, record.Cookie, record.Pid), stop);
            (source, rules) = (RuleSource.Agent, reply.Value);
            // An agent that hangs is not waited for again with the next socket.
            _problem = reply.Value is not null ? null : reply.Problem ?? "no agent is running here, and no policy files were given";
        }
        if (Input is { } input && isConnection)
        {
            var report = new ExplanationReport(
                input.Compiled.Policy,
                input.Compiled.Destinations,
                new Endpoint(record.Remote.Address, record.Remote.Port),
                new Endpoint(record.Local.Address, record.Local.Port));
            source = RuleSource.Files;
            rules = JsonSerializer.Deserialize(report.ToJson(), ExplanationJsonContext.Readable.AgentsExplanation)! with { Complete = true };
        }
        SocketMemory? note = survey.Notes.TryGetValue((record.Namespace, record.Cookie), out var memory) ? memory : null;
        return new SocketExplanation(record, note, pods?.Find(in record), source, rules, _problem, TimeProvider.System.GetUtcNow()) { IsAccepted = isAccepted };
    }

    /// <summary>Collects the sockets that match.</summary>
    private sealed class Found(WantedSocket wanted) : ISocketSink
    {
        private static readonly UInt128 s_any = UInt128.Zero;
        private static readonly UInt128 s_anyOfIPv4 = 0xFFFF_0000_0000;

        private readonly HashSet<(ulong Namespace, SocketEndpoint End)> _listening = [];

        public Dictionary<(ulong, ulong), SocketRecord> Records { get; } = [];

        /// <summary>Whether a socket listens where this one's local end is, or on all addresses.</summary>
        public bool IsAccepted(in SocketRecord record) => record.State != TcpState.Listen
            && (_listening.Contains((record.Namespace, record.Local))
                || _listening.Contains((record.Namespace, new SocketEndpoint(s_any, record.Local.Port)))
                || _listening.Contains((record.Namespace, new SocketEndpoint(s_anyOfIPv4, record.Local.Port))));

        public void BeginNamespace(ulong inode)
        {
        }

        public void Socket(in SocketRecord record)
        {
            if (record.State == TcpState.Listen)
            {
                _listening.Add((record.Namespace, record.Local));
            }
            if (wanted.Matches(in record))
            {
                Records[(record.Namespace, record.Cookie)] = record;
            }
        }

        public void EndNamespace(ulong inode)
        {
        }

        public void NamespaceGone(ulong inode)
        {
        }
    }
}
