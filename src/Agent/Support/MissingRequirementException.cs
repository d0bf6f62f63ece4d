namespace Keepalive.Agent.Support;

/// <summary>The system lacks something that a command needs.</summary>
/// <param name="message">The missing requirement, its use, and how to get it.</param>
internal sealed class MissingRequirementException(string message) : Exception(message);
