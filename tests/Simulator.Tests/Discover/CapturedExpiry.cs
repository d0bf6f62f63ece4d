using Keepalive.Testbed;

namespace Keepalive.Simulator.Tests.Discover;

/// <summary>The expiry class that a capture at the client shows: nothing of discover takes part in it.</summary>
internal static class CapturedExpiry
{
    /// <summary>Packets of the far end that come sooner after one of the client are answers.</summary>
    private const double Answer = 0.2;

    /// <summary>So many packets of the client without an answer are silence.</summary>
    private const int Silence = 3;

    /// <summary>The class that most connections show. The connection that is probed all the time may show another.</summary>
    public static string? Of(IEnumerable<string> lines, int serverPort)
    {
        var seen = lines.Select(TcpdumpSegment? (line) => TcpdumpCapture.TryParse(line)).OfType<TcpdumpSegment>()
            .Where(one => one.Source.Port == serverPort || one.Destination.Port == serverPort)
            .GroupBy(one => one.Source.Port == serverPort ? one.Destination.Port : one.Source.Port)
            .Select(flow => OfOne([.. flow], serverPort)).OfType<string>().ToList();
        // A SYN between the same ports is tried on one connection alone.
        return seen.Contains("drop-until-syn") ? "drop-until-syn" : seen.GroupBy(name => name).MaxBy(group => group.Count())?.Key;
    }

    private static string? OfOne(IReadOnlyList<TcpdumpSegment> flow, int serverPort)
    {
        var (lastOfClient, unanswered, isSilent) = (0.0, 0, false);
        foreach (var one in flow)
        {
            var isSyn = one.Flags.Contains('S', StringComparison.Ordinal);
            var isEnd = one.Flags.AsSpan().ContainsAny('F', 'R');
            if (one.Source.Port != serverPort)
            {
                if (isEnd && !isSilent)
                {
                    return null;
                }
                (lastOfClient, unanswered) = (one.Time, isSyn || isEnd ? 0 : unanswered + 1);
                isSilent |= unanswered >= Silence;
                continue;
            }
            if (isSilent)
            {
                // The far end may know the connection still: it acknowledges the SYN first, gets a reset, and answers the next one.
                if (isSyn)
                {
                    return "drop-until-syn";
                }
                continue;
            }
            if (isEnd)
            {
                var isReset = one.Flags.Contains('R', StringComparison.Ordinal);
                return one.Time - lastOfClient > Answer ? isReset ? "reset-both" : "fin-both" : isReset ? "reset-on-next-packet" : null;
            }
            unanswered = 0;
        }
        return isSilent ? "silent-drop" : null;
    }
}
