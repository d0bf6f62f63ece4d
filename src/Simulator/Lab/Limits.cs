using System.Globalization;

namespace Keepalive.Simulator.Lab;

/// <summary>Limits of this process that a lab does not get along with.</summary>
internal static class Limits
{
    /// <summary>The runtime has about a hundred open by itself, each process in the lab some more.</summary>
    private const int FilesNeeded = 256;

    private const string Files = "Max open files";

    /// <summary>Why it cannot run, or null.</summary>
    public static string? TooFewFiles() => TooFewFiles(File.ReadAllText("/proc/self/limits"));

    /// <summary>Reads the soft limit, the first number of its line in /proc/PID/limits (proc(5)).</summary>
    public static string? TooFewFiles(string limits)
    {
        var line = limits.Split('\n').FirstOrDefault(line => line.StartsWith(Files, StringComparison.Ordinal));
        var soft = line?[Files.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault();
        return int.TryParse(soft, CultureInfo.InvariantCulture, out var allowed) && allowed < FilesNeeded
            ? string.Create(CultureInfo.InvariantCulture, $"a process may have {allowed} files open here, and needs {FilesNeeded}: ulimit -n {FilesNeeded} allows them")
            : null;
    }
}
