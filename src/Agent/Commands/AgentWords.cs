using Keepalive.Agent.Reports;
using Keepalive.Agent.Serving;

namespace Keepalive.Agent.Commands;

/// <summary>The running agent's word about the node's sockets, for commands that read the sockets themselves.</summary>
internal static class AgentWords
{
    /// <summary>Asks the agent, and says on standard error whose policies the command shows. Says nothing if no agent has been running
    /// here.</summary>
    public static IReadOnlyDictionary<(ulong Namespace, ulong Cookie), AgentsWord>? Ask(string stateDirectory, CancellationToken stop)
    {
        var reply = AgentClient.Sockets(stateDirectory, stop);
        if (reply.Problem is { } problem)
        {
            Complaint.Say($"warning: {problem}; policies are shown only as far as --policies and the state file say");
        }
        else if (reply.Value is not null)
        {
            Complaint.Say("note: policies are those of the running agent");
        }
        return reply.Value;
    }
}
