namespace Keepalive.Agent.Running;

/// <summary>The options of the passes.</summary>
internal sealed record PassOptions
{
    /// <summary>The time between two passes of the service.</summary>
    public required TimeSpan Interval { get; init; }

    public required bool DryRun { get; init; }

    public required bool RestoreOnExit { get; init; }
}
