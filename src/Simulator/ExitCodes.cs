namespace Keepalive.Simulator;

/// <summary>What the program's exit code says.</summary>
internal static class ExitCodes
{
    public const int Done = 0;

    /// <summary>What was seen is not what was announced.</summary>
    public const int NotAsDescribed = 1;

    /// <summary>The input has errors; the same number.</summary>
    public const int InvalidInput = 1;

    public const int Usage = 2;

    /// <summary>A privilege, a kernel feature or a tool is missing.</summary>
    public const int NotPermitted = 3;

    public const int Failed = 4;
}
