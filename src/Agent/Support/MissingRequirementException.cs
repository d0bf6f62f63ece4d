namespace Keepalive.Agent.Support;

/// <summary>The system lacks something that a command needs.</summary>
/// <param name="message">What is missing, what for, and how to get it.</param>
internal sealed class MissingRequirementException(string message) : Exception(message);
