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

    /// <summary>Whether the namespaces and labels of the node's pods are known, for policies that are for certain pods only.</summary>
    public bool KnowsPods { get; init; }

    /// <summary>Whether pods and namespaces may choose values for their own connections by annotation.</summary>
    public bool AllowsOwn { get; init; }
}
