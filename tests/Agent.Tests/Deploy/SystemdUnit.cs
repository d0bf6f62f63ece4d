using Keepalive.Testbed;

namespace Keepalive.Agent.Tests.Deploy;

/// <summary>The settings of the systemd unit; a key may occur several times.</summary>
internal static class SystemdUnit
{
    public static string Path { get; } = System.IO.Path.Combine(Repository.Root, "deploy", "systemd", "keepalive-agent.service");

    public static ILookup<string, string> Read() => File.ReadLines(Path)
        .Where(line => line.Contains('=', StringComparison.Ordinal) && line[0] != '#')
        .ToLookup(line => line[..line.IndexOf('=', StringComparison.Ordinal)], line => line[(line.IndexOf('=', StringComparison.Ordinal) + 1)..]);
}
