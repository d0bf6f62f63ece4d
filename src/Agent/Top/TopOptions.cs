using Keepalive.Agent.Audit;

namespace Keepalive.Agent.Top;

/// <summary>The options of the live view.</summary>
internal sealed record TopOptions
{
    /// <summary>The agent's state directory, with its unix socket.</summary>
    public required string StateDirectory { get; init; }

    /// <summary>Paths of the only namespaces of a survey; empty for all.</summary>
    public required string[] Namespaces { get; init; }

    /// <summary>The idle timeout with which a survey compares connections.</summary>
    public required AuditYardstick Yardstick { get; init; }

    /// <summary>The time between two refreshes.</summary>
    public required TimeSpan Every { get; init; }
}
