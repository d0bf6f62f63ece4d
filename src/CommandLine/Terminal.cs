namespace Keepalive.CommandLine;

/// <summary>The terminal behind standard output, if there is one.</summary>
public static class Terminal
{
    /// <summary>Colours are for terminals; NO_COLOR (no-color.org) forbids them there, too.</summary>
    public static bool WantsColours() =>
        !Console.IsOutputRedirected && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"))
        && Environment.GetEnvironmentVariable("TERM") is not (null or "" or "dumb");
}
