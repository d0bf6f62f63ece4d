using System.Globalization;
using Keepalive.Probes.Pages;
using Keepalive.Simulator.Balancing;

namespace Keepalive.Simulator.Lab;

/// <summary>The page of a lab: its connections with their packets.</summary>
internal static class LabPacketReport
{
    public static PacketReport Create(LabPlan plan, PacketRecorder recorder, LabSummary summary, DateTimeOffset began)
    {
        var (preset, rule) = (plan.Setting.Preset, plan.Setting.Rule);
        var totals = summary.Totals;
        var connections = recorder.Connections().Select(recorded => recorded.Connection with
        {
            Trouble = TroubleOf(recorded),
            Verdict = Verdict(recorded, rule),
            Settings =
            [
                .. PacketSettings.Of(preset, rule, recorded.Count(LabEventKind.Expired) > 0),
                .. PacketSettings.Of(plan.Policies, rule, recorded.Count(LabEventKind.Expired) > 0, recorded.Count(LabEventKind.Refreshed) > 0),
            ],
        }).ToList();
        return new PacketReport
        {
            Title = $"{preset?.Product ?? "A balancer"} with an idle timeout of {Words.Duration(rule.IdleTimeout)}",
            Source = $"keepalive-sim lab, client: {plan.Client}",
            Began = (began - DateTimeOffset.UnixEpoch).Ticks * TimeSpan.NanosecondsPerTick,
            Lanes = ["client", "balancer", "server"],
            Connections = connections,
            Facts =
            [
                new("connections opened", Number(totals.Opened)),
                new("expired", Number(totals.Expired)),
                new("keepalive probes", Number(totals.ClientProbes + totals.ServerProbes)),
                new("resets by the balancer", Number(totals.Resets)),
                new("packets swallowed", Number(totals.Swallowed)),
                new("duration", string.Create(CultureInfo.InvariantCulture, $"{summary.Duration.TotalSeconds:0.0} s")),
            ],
            LeftOut = recorder.LeftOut == 0
                ? []
                : [$"Packets of connections after the first {PacketRecorder.DefaultCapacity}: {Number(recorder.LeftOut)}."],
        };
    }

    /// <summary>How badly a connection fared.</summary>
    private static Trouble TroubleOf(RecordedConnection recorded)
    {
        if (recorded.Count(LabEventKind.Swallowed) > 0 || recorded.Count(LabEventKind.Reset) > 0 || recorded.Count(LabEventKind.Finished) > 0
            || recorded.Connection.Requests.Any(request => request.Status is < 200 or >= 500))
        {
            return Trouble.Failure;
        }
        var isNotable = recorded.Count(LabEventKind.Expired) > 0 || recorded.Count(LabEventKind.Refused) > 0 || recorded.Count(LabEventKind.Ignored) > 0;
        return isNotable ? Trouble.Notice : Trouble.None;
    }

    private static string Verdict(RecordedConnection recorded, BalancerRule rule)
    {
        var timeout = Words.Duration(rule.IdleTimeout);
        var refreshed = recorded.Count(LabEventKind.Refreshed);
        var useless = recorded.Count(LabEventKind.Probed) + recorded.Count(LabEventKind.Ignored);
        if (recorded.Count(LabEventKind.Expired) > 0)
        {
            var meets = recorded.Count(LabEventKind.Finished) > 0 ? "The balancer closed it to both ends"
                : recorded.Count(LabEventKind.Revived) > 0 ? "A later packet made it known again"
                : recorded.Count(LabEventKind.Swallowed) > 0 && recorded.Count(LabEventKind.Reset) > 0 ? "The next packet was answered with a reset"
                : recorded.Count(LabEventKind.Reset) > 0 ? "The balancer reset both ends"
                : recorded.Count(LabEventKind.Swallowed) > 0 ? $"{Words.Count(recorded.Count(LabEventKind.Swallowed), "packet")} sent after that came to nothing"
                : "Nothing was sent after that";
            return $"Nothing restarted the balancer's clock for {timeout}, and it forgot the connection. {meets}."
                + (useless > 0 ? $" {Words.Count(useless, "keepalive probe")} did not restart the clock." : "");
        }
        return recorded.Count(LabEventKind.Refused) > 0 ? "The other end refused the connection: nothing listens there."
            : refreshed > 0 ? $"{Words.Count(refreshed, "keepalive probe")} restarted the balancer's clock; it never ran out."
            : "The balancer's clock never ran out.";
    }

    private static string Number(long number) => number.ToString("N0", CultureInfo.InvariantCulture);
}
