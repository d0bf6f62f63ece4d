using System.Collections.Immutable;
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
/// <param name="Limit">The limit of <c>time</c>.</param>
/// <param name="Why">The reason that it is not longer: how late the kernel's timer may be; null where it is the longest of all.</param>
/// <param name="Step">The most that a timer of <c>time</c> fires late.</param>
/// <param name="WorstHz">CONFIG_HZ of the kernels, among those assumed, whose timers leave the least room before the balancer forgets.</param>
/// <param name="Haste">Why an outage of less than <see cref="BalancerCheck.BriefOutage"/> ends connections; null where it does not.</param>
internal sealed record Advice(
    KeepaliveSettings Settings, int ProbesInTime, double Forgotten, double GivenUp, double ProbesPerHour, TimeSpan Detection, string Limit, string? Why, TimeSpan Step, int WorstHz,
    string? Haste);

/// <summary>Finds the policy with the least probes that keeps connections known.</summary>
/// <remarks>
/// A wait between two probes that arrive ends badly when all probes that the balancer's clock leaves room for are lost: lossⁿ. The first may
/// come at the latest when there is room for n, timers as late as the kernel has them (<see cref="KeepaliveSchedule.Survives"/>), whichever
/// of the kernels assumed it is. The later the first, the fewer there are, so that the longest <c>time</c> is the cheapest. How long an
/// outage a connection outlasts is up to interval × probes alone: as long as people call brief, unless a dead peer has to be known sooner.
/// </remarks>
internal static class Advisor
{
    /// <summary>At least so many probes have to fit, however little is lost: one may always be.</summary>
    private const int LeastProbes = 2;

    /// <summary>Seconds between unanswered probes, where there is room: closer together they share the fate of a short disturbance.</summary>
    private const int LeastInterval = 5, MaxInterval = 10;

    private const string CannotHelp = "TCP keepalive cannot help";

    /// <summary>The advice; null, and the reason, where keepalive cannot do it.</summary>
    public static Advice? Find(AdviceRequest request, out string reason)
    {
        reason = "";
        if (request.Rule.Behaviour is { Refresh: Refresh.PayloadOnly } behaviour)
        {
            reason = (behaviour.DropsProbes
                ? "TCP keepalive makes it worse: this balancer stops answering probes, so that keepalive ends healthy connections, and only payload restarts its clock. Do not enable it. "
                : request.IsFirewall ? $"{CannotHelp}: only payload restarts the clock, and keepalive probes are ignored. "
                : $"{CannotHelp}: only payload restarts this balancer's clock, and it answers probes itself. ")
                + "What can: send something on the connection more often than its idle timeout (HTTP/2 PING where it counts, an application's own heartbeat), "
                + $"or close idle connections in the client's pool before it does{OrRaise(request)}"
                + (request.OutlastsIdleTimeout
                    ? $" For a response that takes {Words.Duration(request.ServiceTime!.Value)}: let the server send a part of it more often, or answer at once and let the client ask for the result later."
                    : "");
            return null;
        }
        var needs = new Needs(request);
        // An outage is outlasted before all else; then come the usual intervals, and in the end whatever works.
        var best = Cheapest(request, needs, BalancerCheck.BriefOutage, MaxInterval, LeastInterval)
            ?? Cheapest(request, needs, BalancerCheck.BriefOutage, LeastInterval - 1, 1)
            ?? Cheapest(request, needs, 0, MaxInterval, LeastInterval)
            ?? Cheapest(request, needs, 0, LeastInterval - 1, 1);
        if (best is null)
        {
            reason = WhyNot(request, needs);
        }
        return best;
    }

    private static Advice? Cheapest(AdviceRequest request, in Needs needs, int outage, int maxInterval, int leastInterval)
    {
        Advice? best = null;
        for (var interval = maxInterval; interval >= leastInterval; interval--)
        {
            best = WithInterval(request, needs, outage, interval) is { } found && (best is null || found.ProbesPerHour < best.ProbesPerHour) ? found : best;
        }
        return best;
    }

    private static Advice? WithInterval(AdviceRequest request, in Needs needs, int outage, int interval)
    {
        var probes = Math.Max(needs.Probes, (outage + interval - 1) / interval);
        if (probes > KeepaliveSettings.MaxProbes)
        {
            return null;
        }
        var (room, inTime) = (needs.Room, needs.InTime);
        if (Longest(room, IsFine) is not { } low)
        {
            return null;
        }

        var best = new Candidate(low, interval, probes, request.AssumedHz);
        var fitting = best.Fitting(needs.Room);
        var limit = LimitOf(request, best, needs);
        var (why, step) = Why(limit, best, needs);
        return new Advice(
            new KeepaliveSettings(low, interval, probes), fitting, Math.Pow(needs.ProbeLoss, fitting), Math.Pow(needs.AnswerLoss, probes),
            3600 / best.Any.AnsweredCycle(request.RoundTrip).TotalSeconds, best.LatestDeath, Describe(limit, request, needs), why, step, best.WorstHz(fitting),
            Haste(request, interval * probes));

        bool IsFine(int time)
        {
            var candidate = new Candidate(time, interval, probes, request.AssumedHz);
            return candidate.Fitting(room) >= inTime && (request.DetectWithin is null || candidate.LatestDeath <= request.DetectWithin);
        }
    }

    /// <summary>The longest time with which an application's own settings meet the requirements; null where none does.</summary>
    /// <param name="request">The requirements.</param>
    /// <param name="values">The values that the application's sockets have with a time. They do not become shorter as the time grows.</param>
    /// <remarks>A setting that sends fewer probes than the requirements ask for has to send those in time.</remarks>
    public static KeepaliveSettings? Fit(AdviceRequest request, Func<int, KeepaliveSettings> values)
    {
        return Longest(new Needs(request).Room, time => Meets(request, values(time))) is { } longest ? values(longest) : null;
    }

    /// <summary>Whether values, all three, meet the requirements.</summary>
    public static bool Meets(AdviceRequest request, KeepaliveSettings all)
    {
        var needs = new Needs(request);
        var candidate = new Candidate(all.Time!.Value, all.Interval!.Value, all.Probes!.Value, request.AssumedHz);
        return candidate.Fitting(needs.Room) >= Math.Min(needs.InTime, all.Probes.Value)
            && (request.DetectWithin is null || candidate.LatestDeath <= request.DetectWithin);
    }

    /// <summary>The longest time for which something holds that holds for all shorter ones.</summary>
    private static int? Longest(TimeSpan room, Func<int, bool> isFine)
    {
        var (low, high) = (0, (int)Math.Clamp(room.TotalSeconds, 0, KeepaliveSettings.MaxTime));
        while (low < high)
        {
            var time = (low + high + 1) / 2;
            (low, high) = isFine(time) ? (time, high) : (low, time - 1);
        }
        return low < 1 ? null : low;
    }

    private static TimeLimit LimitOf(AdviceRequest request, in Candidate best, in Needs needs)
    {
        if (best.Any.Time == KeepaliveSettings.MaxTime)
        {
            return TimeLimit.Kernel;
        }
        var longer = new Candidate(best.Any.Time + 1, best.Any.Interval, best.Any.Probes, request.AssumedHz);
        return longer.Fitting(needs.Room) >= needs.InTime ? TimeLimit.Detection : TimeLimit.Room;
    }

    private static string Describe(TimeLimit limit, AdviceRequest request, in Needs needs) => limit switch
    {
        TimeLimit.Kernel => "the longest the kernel takes",
        TimeLimit.Detection => $"the longest that finds a dead peer within {Words.Duration(request.DetectWithin!.Value)}",
        _ => $"the longest that leaves room for {Words.Count(needs.InTime, "probe")} before that",
    };

    /// <summary>Why a time that looks early is not: the kernel's timers are late, by steps that grow with the wait.</summary>
    private static (string? Why, TimeSpan Step) Why(TimeLimit limit, in Candidate best, in Needs needs)
    {
        var time = best.Any.Time;
        var hz = limit == TimeLimit.Detection ? best.SlowestHz() : best.WorstHz(needs.InTime);
        var schedule = best.On(hz);
        var (step, next) = (new TimerWheel(hz).Granule(time), new TimerWheel(hz).Granule(time + 1));
        var grows = next > step ? $", one of {time + 1}s up to {Words.Duration(next)}" : "";
        var late = $"at HZ={hz} a Linux timer of {time}s fires up to {Words.Duration(step)} late{grows} (the steps of the kernel's timer wheel)";
        return limit switch
        {
            TimeLimit.Kernel => (null, step),
            TimeLimit.Detection => ($"{late}, so that a dead peer is detected {Words.Duration(schedule.LatestDeath)} after its last packet at the latest, not {Words.Duration(schedule.Death)}", step),
            _ => ($"{late}, so that probe {needs.InTime} comes {Words.Duration(schedule.LatestProbe(needs.InTime))} after the last packet at the latest, "
                + $"not {Words.Duration(schedule.Probe(needs.InTime))}", step),
        };
    }

    private static string? Haste(AdviceRequest request, int patience)
    {
        if (patience >= BalancerCheck.BriefOutage)
        {
            return null;
        }
        // Nothing else can be in the way: the balancer does not care how long a socket goes on probing.
        var within = Words.Duration(request.DetectWithin!.Value);
        return $"A connection that is being probed ends after an outage of {patience}s: --detect-within {within} leaves no room for {BalancerCheck.BriefOutage}s, below which keepalive-agent check warns (KA063).";
    }

    private static string WhyNot(AdviceRequest request, in Needs needs)
    {
        if (needs.Probes > KeepaliveSettings.MaxProbes)
        {
            return $"it takes {needs.Probes} probes ({needs.WhyProbes}), and the kernel counts up to {KeepaliveSettings.MaxProbes}: raise --target";
        }
        var quickest = new Candidate(1, 1, needs.Probes, request.AssumedHz);
        var fitting = quickest.Fitting(needs.Room);
        var idle = Words.Duration(request.Rule.IdleTimeout);
        if (fitting == 0)
        {
            return $"{CannotHelp}: the kernel counts whole seconds, and no probe is sure to come before the idle timeout of {idle} has passed. "
                + $"What can: close idle connections in the client's pool before that{OrRaise(request)}";
        }
        return fitting < needs.InTime
            ? $"{CannotHelp}: the kernel counts whole seconds, and with probes 1s apart {(fitting == 1 ? "only one is" : $"only {fitting} are")} sure to come before the idle timeout of {idle} has passed. "
                + $"It takes {needs.InTime} ({needs.WhyInTime}). What can: close idle connections in the client's pool before that{OrRaise(request)}"
            : $"no time, interval and probes keep a connection known and find a dead peer within {Words.Duration(request.DetectWithin!.Value)}: it takes {needs.Probes} probes ({needs.WhyProbes}), "
                + $"and even 1s apart they find it {Words.Duration(quickest.LatestDeath)} after it was last heard, at the latest: raise --detect-within{(needs.IsForTarget ? " or --target" : "")}";
    }

    /// <summary>The end of a sentence about other ways.</summary>
    private static string OrRaise(AdviceRequest request) => request.Preset switch
    {
        { } preset when preset.WhyNoLonger(request.Rule.IdleTimeout.TotalSeconds) is { } why => $". A longer idle timeout is not possible: {why}.",
        { MaxIdleTimeout: { } most } => $", or raise its idle timeout ({most}s at most).",
        _ => ", or raise its idle timeout.",
    };

    /// <summary>How many of them are not all lost, but for the target.</summary>
    private static int ProbesFor(double loss, double target) => loss <= 0 ? 1 : (int)Math.Ceiling((Math.Log(target) / Math.Log(loss)) - 1e-9);

    /// <summary>The requirements that a policy has to meet.</summary>
    private readonly struct Needs
    {
        private readonly string _forTarget;

        public Needs(AdviceRequest request)
        {
            var perDirection = request.Rule.Behaviour.Refresh == Refresh.PerDirection;
            AnswerLoss = 1 - Math.Pow(1 - request.Loss, 2);
            // With a clock for each direction the answer counts as well as the probe.
            ProbeLoss = perDirection ? AnswerLoss : request.Loss;
            InTime = Math.Max(LeastProbes, ProbesFor(ProbeLoss, request.Target));
            Probes = Math.Max(InTime, ProbesFor(AnswerLoss, request.Target));
            // The balancer's clock and the socket's are up to a round trip apart.
            Room = request.Rule.IdleTimeout - (perDirection ? 2 * request.RoundTrip : request.RoundTrip);
            _forTarget = $"for {Words.Part(request.Target)} at {Words.Percent(request.Loss)} loss";
        }

        /// <summary>The part of the probes after which the balancer's clock does not restart.</summary>
        public double ProbeLoss { get; }

        /// <summary>The part of the probes whose answer does not arrive.</summary>
        public double AnswerLoss { get; }

        /// <summary>Probes that have to come before the balancer forgets.</summary>
        public int InTime { get; }

        /// <summary>Unanswered ones after which the peer may be given up, at least.</summary>
        public int Probes { get; }

        /// <summary>The time they have, on the socket's clock.</summary>
        public TimeSpan Room { get; }

        /// <summary>Whether it is the target that asks for more than the least.</summary>
        public bool IsForTarget => Probes > LeastProbes;

        public string WhyInTime => InTime > LeastProbes ? _forTarget : "one may always be lost";

        public string WhyProbes => IsForTarget ? _forTarget : "one may always be lost";
    }

    /// <summary>Values on all kernels assumed.</summary>
    private readonly struct Candidate(int time, int interval, int probes, ImmutableArray<int> hz)
    {
        private readonly ImmutableArray<KeepaliveSchedule> _schedules = [.. hz.Select(one => new KeepaliveSchedule(new KeepaliveSettings(time, interval, probes), one))];

        /// <summary>On one of them: the values, and what has nothing to do with how late timers are.</summary>
        public KeepaliveSchedule Any => _schedules[0];

        /// <summary>On the one where it is latest.</summary>
        public TimeSpan LatestDeath => _schedules.Max(schedule => schedule.LatestDeath);

        /// <summary>Probes that go out in time on each of them.</summary>
        public int Fitting(TimeSpan room) => _schedules.Min(schedule => Enumerable.Range(0, schedule.Probes).TakeWhile(lost => schedule.Survives(room, lost)).Count());

        /// <summary>The one where a probe is latest.</summary>
        public int WorstHz(int number) => Worst(schedule => schedule.LatestProbe(number));

        /// <summary>The one where a death is latest.</summary>
        public int SlowestHz() => Worst(static schedule => schedule.LatestDeath);

        /// <summary>On one of them.</summary>
        public KeepaliveSchedule On(int one) => _schedules[hz.IndexOf(one)];

        private int Worst(Func<KeepaliveSchedule, TimeSpan> latest)
        {
            var most = _schedules.Max(latest);
            return hz[_schedules.IndexOf(_schedules.First(schedule => latest(schedule) == most))];
        }
    }

    /// <summary>The reason that a time cannot be longer.</summary>
    private enum TimeLimit
    {
        /// <summary>Too few probes would come before the balancer forgets.</summary>
        Room,

        /// <summary>A dead peer would be found too late.</summary>
        Detection,

        /// <summary>The kernel takes no longer one.</summary>
        Kernel,
    }
}
