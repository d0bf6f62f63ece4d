using Keepalive.Agent.Sockets;

namespace Keepalive.Agent.Reports;

/// <summary>The word of the running agent about a socket that a policy selects.</summary>
/// <param name="Policy">The policy.</param>
/// <param name="Destination">The destination.</param>
/// <param name="Managed">Whether the policy's values are in force.</param>
/// <param name="Outcome">The outcome; null if the agent is of a version that does not tell it.</param>
/// <param name="Reason">Why the policy is not applied; null if the outcome says it.</param>
internal readonly record struct AgentsWord(string Policy, string Destination, bool Managed, SocketOutcome? Outcome, string? Reason);
