using System.Runtime.CompilerServices;
using Keepalive.Linux.Files;

namespace Keepalive.Simulator.Discover;

/// <summary>How many connections the limit on file descriptors leaves room for.</summary>
/// <remarks>The runtime does not survive without a descriptor: it aborts when it cannot start a thread or load an assembly.</remarks>
internal static class ConnectionRoom
{
    /// <summary>Connections to one far end besides those that are idle or probed: three that send payload, and a SYN that is tried again.</summary>
    private const int Extra = 4;

    /// <summary>Descriptors that are open for a moment only: a thread starts, a file is read.</summary>
    private const int Spare = 12;

    /// <summary>Descriptors that signals and the resolver of names need. A program for the .NET runtime opens two for each of its assemblies, when it first uses
    /// them.</summary>
    private static readonly int s_start = RuntimeFeature.IsDynamicCodeCompiled ? 24 : 12;

    /// <summary>The most connections to each of so many far ends.</summary>
    public static int Connections(ulong limit, int open, int farEnds) =>
        (int)Math.Clamp((((long)Math.Min(limit, int.MaxValue) - open - Spare) / farEnds) - Extra, 0, int.MaxValue);

    /// <summary>Whether it can begin: to resolve names, and then to measure at least one far end.</summary>
    /// <param name="connections">The fewest connections to one.</param>
    public static bool AllowsStart(int connections) => Allows(s_start, 1, connections);

    /// <summary>Whether all can be measured. If not, a message goes to standard error.</summary>
    /// <param name="farEnds">The far ends.</param>
    /// <param name="connections">The fewest connections to each.</param>
    public static bool Allows(int farEnds, int connections) => Allows(0, farEnds, connections);

    private static bool Allows(int more, int farEnds, int connections)
    {
        var needed = DescriptorLimit.Open() + more + Spare + (farEnds * (connections + Extra));
        return DescriptorLimit.Allows((ulong)needed, limit => $"{BuildInformation.Program}: only {limit} file descriptors are allowed, and {needed} are needed at least. Raise the limit: ulimit -n {Math.Max(256, needed * 2)}");
    }
}
