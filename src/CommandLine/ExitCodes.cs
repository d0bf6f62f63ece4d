namespace Keepalive.CommandLine;

/// <summary>Exit codes of both programs.</summary>
public static class ExitCodes
{
    /// <summary>All was done.</summary>
    public const int Done = 0;

    /// <summary>The input has errors.</summary>
    public const int InvalidInput = 1;

    /// <summary>A result was not as described; the same number.</summary>
    public const int NotAsDescribed = 1;

    /// <summary>The command line is wrong.</summary>
    public const int Usage = 2;

    /// <summary>A privilege, a kernel feature or a tool is missing.</summary>
    public const int NotPermitted = 3;

    /// <summary>Something went wrong on the way.</summary>
    public const int Failed = 4;

    /// <summary>Nobody reads the output any more: 128 and SIGPIPE's number, as a shell says of programs that the signal ends.</summary>
    public const int Abandoned = 128 + 13;
}
