using Keepalive.Config;

namespace Keepalive.Agent.Policies;

/// <summary>The options of the policies.</summary>
internal sealed record PolicyOptions
{
    /// <summary>Files and directories.</summary>
    public required IReadOnlyList<string> Paths { get; init; }

    public required Side Side { get; init; }

    public required ExistingMode Existing { get; init; }

    /// <summary>The values for connections that no policy selects and that leave the node; null to skip them.</summary>
    public KeepaliveSettings? Keepalive { get; init; }
}
