namespace Keepalive.Agent.Running;

/// <summary>The options of the state directory.</summary>
internal sealed record StateOptions
{
    public required string Directory { get; init; }

    /// <summary>The directory for what must survive a reboot; null for none.</summary>
    public required string? DataDirectory { get; init; }

    /// <summary>Whether to only read the directory, without its lock.</summary>
    public required bool ReadOnly { get; init; }

    /// <summary>Whether sockets are changed, which the state file records.</summary>
    public required bool RecordsChanges { get; init; }
}
