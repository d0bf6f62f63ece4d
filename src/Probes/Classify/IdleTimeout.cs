using Keepalive.Linux.Sockets;

namespace Keepalive.Probes.Classify;

/// <summary>What the silences of the connections to one server say about an idle timeout on the way to it.</summary>
/// <param name="Server">The server: of the two ends, the one with the lower port.</param>
/// <param name="Broken">Connections that turned out to be dead after a silence.</param>
/// <param name="BrokenLeast">The shortest such silence, in nanoseconds.</param>
/// <param name="SurvivedMost">The longest silence that a connection survived, in nanoseconds; 0 for none of ten seconds or more.</param>
/// <param name="Forged">Of the resets, those whose hop limit is not that of the packets before them from the same end.</param>
/// <param name="SilentAtEnd">Connections that had been silent for as long as <paramref name="BrokenLeast"/> when the capture ended: they may be dead, too.</param>
internal readonly record struct IdleTimeout(SocketEndpoint Server, int Broken, long BrokenLeast, long SurvivedMost, int Forged, int SilentAtEnd = 0)
{
    /// <summary>Of the resets, those that the end itself may have closed with.</summary>
    public int Own { get; init; }

    /// <summary>Whether one idle timeout explains all: every silence that broke a connection was longer than every one that was survived.</summary>
    public bool IsOne => SurvivedMost < BrokenLeast;

    /// <summary>Servers with broken connections, those with most first.</summary>
    public static List<IdleTimeout> Of(ProbeScan scan)
    {
        var servers = new Dictionary<SocketEndpoint, IdleTimeout>();
        foreach (ref readonly var broken in scan.Broken.All)
        {
            if (broken.IsRefuted || broken.IsAfterClose)
            {
                continue;
            }
            var server = ServerOf(broken.From, broken.To);
            var known = servers.GetValueOrDefault(server, new IdleTimeout(server, 0, long.MaxValue, 0, 0));
            servers[server] = known with
            {
                Broken = known.Broken + 1,
                BrokenLeast = Math.Min(known.BrokenLeast, broken.Silence.Length),
                Forged = known.Forged + (broken.IsForged ? 1 : 0),
                Own = known.Own + (broken.IsOwn ? 1 : 0),
            };
        }
        if (servers.Count == 0)
        {
            return [];
        }
        foreach (ref readonly var flow in scan.Classifier.Flows.All)
        {
            var server = ServerOf(flow.Key.Low, flow.Key.High);
            if (servers.TryGetValue(server, out var known))
            {
                servers[server] = known with
                {
                    SurvivedMost = Math.Max(known.SurvivedMost, flow.Silence.Survived),
                    SilentAtEnd = known.SilentAtEnd + (IsOpen(in flow) && scan.Latest - LastTime(in flow) >= known.BrokenLeast ? 1 : 0),
                };
            }
        }
        return [.. servers.Values.OrderByDescending(static server => server.Broken).ThenBy(static server => server.BrokenLeast)];
    }

    private static bool IsOpen(in Flow flow) => !flow.IsReset && flow.Silence.Record == 0 && !flow.FromLow.HasFinished && !flow.FromHigh.HasFinished;

    private static long LastTime(in Flow flow) => Math.Max(flow.FromLow.LastTime, flow.FromHigh.LastTime);

    private static SocketEndpoint ServerOf(SocketEndpoint one, SocketEndpoint other) => one.Port < other.Port ? one : other;
}
