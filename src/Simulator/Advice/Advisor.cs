using Keepalive.Config;
using Keepalive.Config.Balancers;

namespace Keepalive.Simulator.Advice;

/// <summary>A policy's values, and what is expected of them.</summary>
/// <param name="Settings">All three.</param>
/// <param name="ProbesInTime">Probes that reach the balancer in time, timers as late as they can be.</param>
/// <param name="Forgotten">The part of the waits in which all of those are lost.</param>
/// <param name="GivenUp">The part of the waits in which a healthy connection is given up, for as many probes or answers are lost.</param>
/// <param name="ProbesPerHour">Of one idle connection, none lost.</param>
/// <param name="Detection">The latest a dead peer is known, from the last packet heard.</param>
/// <param name="Limit">What keeps <c>time</c> from being longer, and probes from being fewer.</param>
internal sealed record Advice(
    KeepaliveSettings Settings, int ProbesInTime, double Forgotten, double GivenUp, double ProbesPerHour, TimeSpan Detection, string Limit);

/// <summary>Finds the policy with the least probes that keeps connections known.</summary>
/// <remarks>
/// A wait between two probes that arrive ends badly when all probes that the balancer's clock leaves room for are lost: lossⁿ. The first may
/// come at the latest when there is room for n, timers as late as the kernel has them (<see cref="KeepaliveSchedule.Survives"/>). The later
/// the first, the fewer there are, so that the longest <c>time</c> is the cheapest.
/// </remarks>
internal static class Advisor
{
    /// <summary>At least so many probes have to fit, however little is lost: one may always be.</summary>
    private const int LeastProbes = 2;

    /// <summary>Seconds between unanswered probes, where there is room: closer together they share the fate of a short disturbance.</summary>
    private const int LeastInterval = 5, MostInterval = 10;

    /// <summary>The advice; null, and the reason, where keepalive cannot do it.</summary>
    public static Advice? Find(AdviceRequest request, out string reason)
    {
        reason = WhyNot(request) ?? "";
        if (reason.Length > 0)
        {
            return null;
        }
        Advice? best = null;
        for (var interval = MostInterval; interval >= LeastInterval || (interval >= 1 && best is null); interval--)
        {
            best = WithInterval(request, interval) is { } found && (best is null || found.ProbesPerHour < best.ProbesPerHour) ? found : best;
        }
        if (best is null)
        {
            reason = request.DetectWithin is { } within
                ? $"no time, interval and probes keep a connection known and find a dead peer within {Words.Duration(within)}: raise --detect-within or --target"
                : $"not enough probes fit into {Words.Duration(request.Rule.IdleTimeout)} for a failure rate of {request.Target:0.#######} at that loss: raise the balancer's idle timeout or --target";
        }
        return best;
    }

    private static string? WhyNot(AdviceRequest request)
    {
        if (request.Rule.Behaviour.Refresh == Refresh.PayloadOnly)
        {
            return "TCP keepalive cannot help here: only payload restarts this balancer's clock, and it answers probes itself. What can: send something on the connection "
                + "more often than its idle timeout (HTTP/2 PING where it counts, an application's own heartbeat), close idle connections in the client's pool before it does, or raise its idle timeout.";
        }
        if (request.Rule.IdleTimeout < TimeSpan.FromSeconds(2) + request.RoundTrip)
        {
            return "TCP keepalive cannot help here: the kernel counts whole seconds, and no probe is sure to come before the idle timeout. What can: raise it, or close idle connections in the client's pool.";
        }
        return null;
    }

    private static Advice? WithInterval(AdviceRequest request, int interval)
    {
        var perDirection = request.Rule.Behaviour.Refresh == Refresh.PerDirection;
        // With a clock for each direction the answer counts as well as the probe.
        var lost = perDirection ? 1 - Math.Pow(1 - request.Loss, 2) : request.Loss;
        var unanswered = 1 - Math.Pow(1 - request.Loss, 2);
        var needed = Math.Max(LeastProbes, ProbesFor(lost, request.Target));
        var patience = Math.Max(needed, ProbesFor(unanswered, request.Target));
        if (needed > KeepaliveSettings.MaxProbes || patience > KeepaliveSettings.MaxProbes)
        {
            return null;
        }
        // The balancer's clock and the socket's are up to a round trip apart.
        var room = request.Rule.IdleTimeout - (perDirection ? 2 * request.RoundTrip : request.RoundTrip);
        var (low, high) = (0, (int)Math.Min(KeepaliveSettings.MaxTime, room.TotalSeconds));
        while (low < high)
        {
            var time = (low + high + 1) / 2;
            var schedule = new KeepaliveSchedule(new KeepaliveSettings(time, interval, patience), request.Hz);
            var isFine = schedule.Survives(room, needed - 1) && (request.DetectWithin is null || schedule.LatestDeath <= request.DetectWithin);
            (low, high) = isFine ? (time, high) : (low, time - 1);
        }
        if (low < 1)
        {
            return null;
        }
        var best = new KeepaliveSchedule(new KeepaliveSettings(low, interval, patience), request.Hz);
        return new Advice(
            new KeepaliveSettings(low, interval, patience), needed, Math.Pow(lost, needed), Math.Pow(unanswered, patience),
            3600 / best.AnsweredCycle(request.RoundTrip).TotalSeconds, best.LatestDeath, Limit(request, low, best, room, needed));
    }

    private static string Limit(AdviceRequest request, int time, KeepaliveSchedule schedule, TimeSpan room, int needed)
    {
        if (time == KeepaliveSettings.MaxTime)
        {
            return "the longest the kernel takes";
        }
        var longer = new KeepaliveSchedule(new KeepaliveSettings(time + 1, schedule.Interval, schedule.Probes), request.Hz);
        return longer.Survives(room, needed - 1)
            ? $"the longest that finds a dead peer within {Words.Duration(request.DetectWithin!.Value)}"
            : $"the longest that leaves room for {Words.Count(needed, "probe")} before that";
    }

    /// <summary>How many of them are not all lost, but for the target.</summary>
    private static int ProbesFor(double loss, double target) => loss <= 0 ? 1 : (int)Math.Ceiling((Math.Log(target) / Math.Log(loss)) - 1e-9);
}
