using System.Collections.Immutable;
using System.Globalization;
using Keepalive.Config.Compilation;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Balancers;

/// <summary>Holds policies against balancers: would they keep a connection, and at what price?</summary>
public static class BalancerCheck
{
    /// <summary>
    /// Seconds from the first lost probe to the end of the connection below which an outage that people call brief ends connections.
    /// </summary>
    public const int BriefOutage = 30;

    /// <summary>Judges every policy that sets keepalive.</summary>
    /// <param name="compiled">The policies.</param>
    /// <param name="balancers">The balancers the connections go through; without any, those that would not keep one are listed.</param>
    public static (ImmutableArray<Diagnostic> Diagnostics, ImmutableArray<(string Policy, BalancerVerdict Verdict)> Verdicts) Check(
        CompilationResult compiled, IReadOnlyList<BalancerOnPath> balancers)
    {
        ArgumentNullException.ThrowIfNull(compiled);
        ArgumentNullException.ThrowIfNull(balancers);
        var diagnostics = new DiagnosticBag();
        var verdicts = ImmutableArray.CreateBuilder<(string, BalancerVerdict)>();
        foreach (var policy in compiled.Policies)
        {
            var subject = $"{policy.Source.Kind} {policy.Source.QualifiedName}";
            foreach (var (keepalive, settings) in policy.Written)
            {
                var userTimeout = (int)(keepalive.UserTimeout?.Value ?? policy.SetUserTimeout);
                ReportHaste(subject, keepalive, settings, userTimeout, diagnostics);
                if (balancers.Count == 0)
                {
                    ReportForgetful(subject, keepalive, settings, diagnostics);
                }

                var all = balancers.Select(on => new BalancerVerdict(settings, on.Preset, on.IdleTimeout, userTimeout)).ToList();
                // The advice must hold for every balancer that probes keep a connection on.
                var shortest = all.Where(static verdict => verdict.Standing is not (BalancerStanding.PayloadNeeded or BalancerStanding.ProbesUnanswered))
                    .Min(static verdict => verdict.IdleTimeout);
                foreach (var (verdict, (balancer, idleTimeout)) in all.Zip(balancers))
                {
                    verdicts.Add((policy.Policy, verdict));
                    ReportRange(subject, keepalive, balancer, idleTimeout, diagnostics);
                    Report(subject, keepalive, verdict, shortest, diagnostics);
                }
            }
        }

        return (diagnostics.ToSorted(), verdicts.DrainToImmutable());
    }

    /// <summary>Advice if keepalive cannot help; continues a sentence after a semicolon.</summary>
    /// <param name="idleTimeout">Seconds; null where it is not known.</param>
    /// <param name="balancer">The balancer; null for one that may take a longer timeout.</param>
    public static string InsteadOfKeepalive(double? idleTimeout, BalancerPreset? balancer = null)
    {
        if (idleTimeout is not { } timeout)
        {
            return "let the application send something (a ping, a heartbeat), or let the client's pool close idle connections, before its timeout does";
        }

        var (ping, close) = ("let the application send something (a ping, a heartbeat) every " + Below(timeout / 3),
            $"let the client's pool close connections that were idle for {Below(timeout * 4 / 5)}");
        return balancer?.WhyNoLonger(timeout) is { } why
            ? $"{ping}, or {close}; a longer timeout is not possible, since {why}"
            : $"{ping}, {close}, or give the balancer a longer timeout{(balancer?.MaxIdleTimeout is { } most ? $" ({most}s at most)" : "")}";
    }

    private static void Report(string subject, TcpKeepalive keepalive, BalancerVerdict verdict, double? shortest, DiagnosticBag diagnostics)
    {
        var (schedule, name) = (verdict.Schedule, verdict.Balancer.Name);
        var position = keepalive.Time?.Position ?? keepalive.Position;
        var unconfirmed = verdict.Unconfirmed == BalancerFacts.None ? "" : " (not confirmed by a source)";
        switch (verdict.Standing)
        {
            case BalancerStanding.Forgotten:
                var (first, latest) = (schedule.Probe(1), schedule.LatestProbe(1));
                diagnostics.Report(DiagnosticCatalog.BalancerForgets, position,
                    $"{subject}: {name} forgets a connection after {verdict.IdleTimeout}s without traffic{unconfirmed}, and the first probe goes out "
                    + (schedule.Interval > schedule.Time
                        ? $"as late as {Seconds(latest)}, because the interval is longer than the time"
                        : first.TotalSeconds < verdict.IdleTimeout
                        ? $"between {Seconds(first)} and {Seconds(latest)}, because the kernel's timer may fire late"
                        : $"after {Seconds(first)}"),
                    Advice(verdict, shortest, keepalive.Names));
                break;
            case BalancerStanding.NoMargin when schedule.Probes == 1 && schedule.LatestDeath.TotalSeconds < verdict.IdleTimeout:
                diagnostics.Report(DiagnosticCatalog.NoMargin, position,
                    $"{subject}: a single lost probe ends a connection that {name} keeps for {verdict.IdleTimeout}s without traffic{unconfirmed}: there is no second probe",
                    Advice(verdict, shortest, keepalive.Names));
                break;
            case BalancerStanding.NoMargin when verdict.IsCutShort:
                // KA074 reports the user timeout.
                break;
            case BalancerStanding.NoMargin:
                diagnostics.Report(DiagnosticCatalog.NoMargin, position,
                    $"{subject}: {name} forgets a connection after {verdict.IdleTimeout}s without traffic{unconfirmed}: a single lost probe exceeds it, "
                    + (schedule.Probes > 1 ? $"the next may go out as late as {Seconds(schedule.LatestProbe(2))}" : "there is no second probe"),
                    Advice(verdict, shortest, keepalive.Names));
                break;
            case BalancerStanding.PayloadNeeded:
                diagnostics.Report(DiagnosticCatalog.PayloadNeeded, position,
                    $"{subject}: {name} counts payload only{unconfirmed} and ends a connection "
                    + (verdict.IdleTimeout is { } timeout ? $"after {timeout}s without" : "after its configured timeout without")
                    + ": TCP keepalive cannot help",
                    InsteadOfKeepalive(verdict.IdleTimeout, verdict.Balancer));
                break;
            case BalancerStanding.ProbesUnanswered when verdict.ClosesBeforeProbes:
                diagnostics.Report(DiagnosticCatalog.PayloadNeeded, position,
                    $"{subject}: {name} counts payload only{unconfirmed} and ends a connection after {verdict.IdleTimeout}s without, before the first probe, "
                    + $"{Seconds(schedule.Probe(1))} after its last packet: TCP keepalive cannot help",
                    InsteadOfKeepalive(verdict.IdleTimeout, verdict.Balancer));
                break;
            case BalancerStanding.ProbesUnanswered:
                diagnostics.Report(DiagnosticCatalog.ProbesUnanswered, position,
                    $"{subject}: {name} stops answering keepalive probes and counts payload only: the policy ends healthy connections, each "
                    + $"{Seconds(schedule.Death)} after its last packet or later",
                    "remove its destinations from the policy; instead " + InsteadOfKeepalive(verdict.IdleTimeout, verdict.Balancer));
                break;
            case BalancerStanding.Depends when verdict.LostProbes < 1:
                diagnostics.Report(DiagnosticCatalog.DependsOnNamespace, position,
                    $"{subject}: {name} forgets a connection after {verdict.IdleTimeout}s without traffic{unconfirmed}, and the policy sets no time: the first probe "
                    + $"depends on net.ipv4.tcp_keepalive_time of each network namespace; Linux's default, {schedule.Time}s, {(schedule.Time >= verdict.IdleTimeout ? "is" : "may be")} too late",
                    Advice(verdict, shortest, keepalive.Names));
                break;
            case BalancerStanding.Depends:
            case BalancerStanding.Unknown:
            case BalancerStanding.Kept:
            default:
                break;
        }
    }

    private static string Advice(BalancerVerdict verdict, double? shortest, KeepaliveNames names)
    {
        if ((verdict.Advise(shortest) ?? verdict.Advise()) is not { } advised)
        {
            return verdict.Balancer.WhyNoLonger(verdict.IdleTimeout) is { } why
                ? $"close idle connections in the client's pool: {why}, and the kernel counts whole seconds"
                : "give the balancer a longer timeout";
        }

        var (schedule, changes) = (verdict.Schedule, new List<string>());
        if (advised.Time != schedule.Time)
        {
            changes.Add(names.Seconds(names.Time, advised.Time, advised.Time < schedule.Time ? " or less" : ""));
        }

        if (advised.Interval != schedule.Interval)
        {
            changes.Add(names.Seconds(names.Interval, advised.Interval));
        }

        if (advised.Probes != schedule.Probes)
        {
            changes.Add(names.Write(names.Probes, $"{advised.Probes}"));
        }

        return "write " + string.Join(" and ", changes);
    }

    private static void ReportRange(string subject, TcpKeepalive keepalive, BalancerPreset balancer, double? idleTimeout, DiagnosticBag diagnostics)
    {
        if (idleTimeout is { } timeout && balancer.RefusalOf(timeout) is { } refusal)
        {
            diagnostics.Report(DiagnosticCatalog.TimeoutOutOfRange, keepalive.Time?.Position ?? keepalive.Position,
                $"{subject}: evaluated for an idle timeout of {timeout}s, but {refusal}", "check the balancer's setting");
        }
    }

    private static void ReportHaste(string subject, TcpKeepalive keepalive, KeepaliveSettings settings, int userTimeout, DiagnosticBag diagnostics)
    {
        var schedule = new KeepaliveSchedule(settings.Or(KeepaliveSettings.LinuxDefaults), userTimeout: userTimeout);
        var patience = (schedule.Death - schedule.Probe(1)).TotalSeconds;
        if (patience < BriefOutage)
        {
            diagnostics.Report(DiagnosticCatalog.HastyProbes, (keepalive.Interval ?? keepalive.Time)?.Position ?? keepalive.Position,
                $"{subject}: a quiet connection ends {Seconds(TimeSpan.FromSeconds(patience))} after its first lost probe ({(userTimeout > 0 ? $"user timeout {UserTimeout.Format(userTimeout)}" : $"{Probes(schedule.Probes)}, {schedule.Interval}s apart")}): an outage of that "
                + "length ends connections that would have survived it without keepalive",
                (schedule.Interval * schedule.Probes < BriefOutage ? $"choose interval × probes of at least {BriefOutage}s{(userTimeout > 0 ? ", and " : "")}" : "choose ")
                + (userTimeout > 0 ? "a user timeout of time + interval × probes" : ""));
        }
    }

    private static void ReportForgetful(string subject, TcpKeepalive keepalive, KeepaliveSettings settings, DiagnosticBag diagnostics)
    {
        var verdicts = BalancerPresets.All.Select(balancer => new BalancerVerdict(settings, balancer)).ToList();
        var forgetful = verdicts.Where(static verdict => verdict is { Standing: BalancerStanding.Forgotten } or { Standing: BalancerStanding.Depends, LostProbes: < 0 })
            .GroupBy(static verdict => verdict.IdleTimeout).OrderBy(static group => group.Key).ToList();
        var helpless = verdicts.Count(static verdict => verdict.Standing is BalancerStanding.PayloadNeeded or BalancerStanding.ProbesUnanswered);
        if (forgetful.Count > 0)
        {
            diagnostics.Report(DiagnosticCatalog.ForgottenBy, keepalive.Time?.Position ?? keepalive.Position,
                $"{subject}: {(settings.Time is null ? $"without a time, the first probe depends on the network namespace; with Linux's default, {verdicts[0].Schedule.Time}s, and " : "with ")}"
                + "their default idle timeouts these forget a connection before its first probe: "
                + string.Join(", ", forgetful.Select(static group =>
                    $"{group.Key}s ({string.Join(", ", group.Select(static verdict => verdict.Balancer.Name))})"))
                + $"; and {helpless} proxies count payload only", "name yours with --balancer");
        }
    }

    /// <summary>Whole seconds that are no longer than these; below one second, tenths.</summary>
    private static string Below(double seconds) => string.Create(
        CultureInfo.InvariantCulture, $"{(seconds >= 1 ? Math.Floor(seconds) : Math.Max(0.1, Math.Floor(seconds * 10) / 10))}s");

    private static string Probes(int count) => count == 1 ? "1 probe" : $"{count} probes";

    private static string Seconds(TimeSpan time) => string.Create(CultureInfo.InvariantCulture, $"{Math.Ceiling(time.TotalSeconds)}s");
}
