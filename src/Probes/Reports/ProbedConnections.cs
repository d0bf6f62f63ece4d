using Keepalive.Probes.Classify;

namespace Keepalive.Probes.Reports;

/// <summary>The connections that either end probed, by what became of them. Each counts once.</summary>
/// <param name="Answered">The last probes were answered.</param>
/// <param name="Unanswered">An end's last probes were not answered.</param>
/// <param name="Reset">It ended by a reset.</param>
internal readonly record struct ProbedConnections(int Answered, int Unanswered, int Reset)
{
    /// <summary>Counts those that are still known.</summary>
    public static ProbedConnections Of(ReadOnlySpan<Flow> flows)
    {
        var (answered, unanswered, reset) = (0, 0, 0);
        foreach (ref readonly var flow in flows)
        {
            if (flow.FromLow.Probes + flow.FromHigh.Probes == 0)
            {
                continue;
            }
            reset += flow.IsReset ? 1 : 0;
            var isUnanswered = !flow.IsReset && flow.FromLow.Unanswered + flow.FromHigh.Unanswered > 0;
            unanswered += isUnanswered ? 1 : 0;
            answered += !flow.IsReset && !isUnanswered ? 1 : 0;
        }
        return new ProbedConnections(answered, unanswered, reset);
    }
}
