using System.Collections.Immutable;
using Keepalive.Simulator.Scenarios;

namespace Keepalive.Simulator.Virtual;

/// <summary>The result of a scenario, with the expected values.</summary>
/// <param name="Scenario">It.</param>
/// <param name="Totals">The counters.</param>
internal sealed record RunResult(Scenario Scenario, VirtualTotals Totals)
{
    /// <summary>A probe or its answer on an Ethernet: 14 bytes, IPv4 20, TCP 20 and its timestamps 12.</summary>
    public const int ProbeBytes = 66;

    public long Failed => Totals.Status503 + Totals.Status504;

    /// <summary>Those that failed because the balancer had ended or forgotten the connection.</summary>
    public long FailedForgotten => Totals.Of(Cause.BalancerReset) + Totals.Of(Cause.BalancerClosed) + Totals.Of(Cause.PeerReset)
        + Totals.Of(Cause.Swallowed) + Totals.Of(Cause.ProbesSwallowed);

    public double FailureRate => Totals.Requests == 0 ? 0 : (double)Failed / Totals.Requests;

    public long Probes => Totals.ClientProbes + Totals.ServerProbes;

    /// <summary>Probes and answers.</summary>
    public long Bytes => (Probes + Totals.RepliesSent) * ProbeBytes;

    /// <summary>Probes of one connection in an hour.</summary>
    public double ProbesPerHour => Probes / (Scenario.Connections * Scenario.Duration.TotalHours);

    /// <summary>Seconds in ascending order below which a part of them is; null where there is none.</summary>
    public static double? Percentile(List<long> sorted, double part) =>
        sorted.Count == 0 ? null : TimeSpan.FromTicks(sorted[Math.Max(0, (int)Math.Ceiling(part * sorted.Count) - 1)]).TotalSeconds;

    /// <summary>The computed values, beside the simulated ones.</summary>
    public ImmutableArray<ClosedFormRow> ClosedForms()
    {
        var rows = ImmutableArray.CreateBuilder<ClosedFormRow>();
        if (ClosedForm.FailureRate(Scenario) is { } rate && Totals.Requests > 0)
        {
            rows.Add(new ClosedFormRow(ClosedFormRow.FailedRequests, rate.Formula, rate.Expected, FailureRate, Math.Sqrt(rate.Expected * (1 - rate.Expected) / Totals.Requests)));
        }
        if (ClosedForm.Detection(Scenario) is { } detection && Totals.Deaths.Count > 0)
        {
            rows.Add(new ClosedFormRow("last heard to dead, s", detection.Formula, detection.Expected, TimeSpan.FromTicks(Totals.Deaths[^1]).TotalSeconds, 0));
        }
        return rows.DrainToImmutable();
    }
}
