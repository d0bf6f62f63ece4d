using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Reports;
using Keepalive.Config;

namespace Keepalive.Agent.Commands;

/// <summary>Commands that ask the agents of all nodes of a cluster: <c>sockets</c>, <c>audit</c> and <c>explain --socket</c> with
/// <c>--cluster</c>.</summary>
/// <remarks>A node that fails is reported, and the others are shown; the exit code then is 4.</remarks>
internal sealed class FleetCommand(AgentFleet fleet, bool isJson)
{
    private int _failed;

    /// <summary>Shows the sockets of all nodes.</summary>
    public async Task<int> SocketsAsync(IEnumerable<string> options, CancellationToken stop)
    {
        await using var output = new StreamWriter(Console.OpenStandardOutput(), bufferSize: 64 * 1024);
        var sockets = new FleetSockets(output, isJson);
        await foreach (var answer in fleet.AskAsync(["sockets", "--output", "json", .. options], stop))
        {
            if (Accept(answer, static code => code == 0) && !sockets.TryWrite(answer.Pod.Node, answer.Lines))
            {
                Fail(answer, "its agent printed something else");
            }
            await output.FlushAsync(stop);
        }
        sockets.End();
        return End();
    }

    /// <summary>Shows the connections at risk on all nodes.</summary>
    public async Task<int> AuditAsync(IEnumerable<string> options, bool fail, CancellationToken stop)
    {
        var audit = new FleetAudit();
        // --fail: the exit code shows whether the node could be examined as a whole.
        await foreach (var answer in fleet.AskAsync(["audit", "--output", "json", "--fail", .. options], stop))
        {
            if (!Accept(answer, code => code is ExitCodes.Done or ExitCodes.InvalidInput || (code == ExitCodes.Failed && !answer.Lines.IsEmpty)))
            {
                continue;
            }
            if (!audit.TryAdd(answer.Pod.Node, answer.Lines))
            {
                Fail(answer, "its agent printed something else");
            }
            else if (answer.ExitCode == ExitCodes.Failed)
            {
                _failed++;   // its warnings say which namespaces are missing
            }
        }
        await using var output = new StreamWriter(Console.OpenStandardOutput(), bufferSize: 64 * 1024);
        if (isJson)
        {
            audit.WriteJson(output, _failed);
        }
        else
        {
            audit.WriteTable(output, _failed);
        }
        if (audit.Omitted > 0)
        {
            Complaint.Say($"{audit.Omitted} more groups of connections are counted and not listed");
        }
        return fail && audit.AtRisk > 0 ? ExitCodes.InvalidInput : End();
    }

    /// <summary>Explains a socket on every node that has it.</summary>
    public async Task<int> ExplainAsync(WantedSocket wanted, IEnumerable<string> options, CancellationToken stop)
    {
        var found = 0;
        await using var output = new StreamWriter(Console.OpenStandardOutput(), bufferSize: 64 * 1024);
        await foreach (var answer in fleet.AskAsync(["explain", "--socket", wanted.Text, "--output", isJson ? "json" : "table", .. options], stop))
        {
            if (answer.ExitCode == ExitCodes.InvalidInput || !Accept(answer, static code => code == 0))
            {
                continue;   // 1: the node has no such socket
            }
            var lines = answer.Lines.Select(line => isJson ? NodeLines.WithNode(answer.Pod.Node, line) : "  " + TerminalText.Mask(line)).ToList();
            if (lines.Count == 0 || lines.Contains(null) || (!isJson && !lines[0]!.Contains(" → ", StringComparison.Ordinal)))
            {
                Fail(answer, "its agent printed something else");
                continue;
            }
            found++;
            if (!isJson)
            {
                output.WriteLine($"node {answer.Pod.Node}");
            }
            lines.ForEach(output.WriteLine);
            await output.FlushAsync(stop);
        }
        if (found == 0 && _failed == 0)
        {
            return Complaint.Say(ExitCodes.InvalidInput, $"no TCP socket on {Counted.Of(fleet.Nodes, "node")} is {TerminalText.Mask(wanted.Text)}");
        }
        return End();
    }

    private bool Accept(NodeAnswer answer, Func<int, bool> isDone)
    {
        foreach (var line in answer.Failure is null && answer.ExitCode is { } code && isDone(code) ? answer.Warnings.Where(static line => !IsNote(line)) : [])
        {
            Complaint.Say($"node {answer.Pod.Node}: {line}");
        }
        if (answer.Failure is null && answer.ExitCode is { } ended && isDone(ended))
        {
            return true;
        }
        Fail(answer, answer.Failure ?? (answer.ExitCode == ExitCodes.Usage ? "its agent is of another version: " : "") + (answer.Warnings.FirstOrDefault() ?? $"its agent exited with {answer.ExitCode}"));
        return false;
    }

    /// <summary>Whether a line says what is the rule here: each node's agent is asked for its policies.</summary>
    private static bool IsNote(string line) => line.Contains(": note: ", StringComparison.Ordinal);

    private void Fail(NodeAnswer answer, string why)
    {
        _failed++;
        Complaint.Say($"node {answer.Pod.Node} ({answer.Pod.Namespace}/{TerminalText.Mask(answer.Pod.Name)}) failed: {why}");
    }

    private int End()
    {
        if (_failed > 0)
        {
            Complaint.Say($"{_failed} of {Counted.Of(fleet.Nodes, "node")} failed");
        }
        return _failed > 0 ? ExitCodes.Failed : ExitCodes.Done;
    }
}
