using System.Collections.Immutable;

namespace Keepalive.Simulator.Scenarios;

/// <summary>Scenarios that come with the program, by name; the first comment line of each says what it is.</summary>
internal static class BuiltInScenarios
{
    private const string Suffix = ".scenario.yaml";

    private static readonly string[] s_order =
        ["guide-outage", "guide-policy", "silent-firewall", "proxy-in-between", "dead-endpoint", "slow-response", "lossy-network", "bursty-clients", "balancer-restart"];

    public static ImmutableArray<string> Names { get; } = [.. s_order];

    /// <summary>Its YAML, or null.</summary>
    public static string? Find(string name)
    {
        using var stream = typeof(BuiltInScenarios).Assembly.GetManifestResourceStream(name + Suffix);
        if (stream is null)
        {
            return null;
        }
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }

    /// <summary>Its first line, a description.</summary>
    public static string Describe(string name) => Find(name)!.Split('\n')[0].TrimStart('#', ' ');
}
