namespace Keepalive.Agent;

/// <summary>What the program's exit code says.</summary>
internal static class ExitCodes
{
    public const int Done = 0;

    /// <summary>The input has errors.</summary>
    public const int InvalidInput = 1;

    public const int Usage = 2;

    /// <summary>A privilege or a kernel feature is missing.</summary>
    public const int NotPermitted = 3;

    public const int Failed = 4;
}
