using System.Globalization;
using Keepalive.Config;
using Keepalive.Probes.Pages;
using Keepalive.Simulator.Reports;
using Keepalive.Simulator.Scenarios;
using Keepalive.Simulator.Virtual;

namespace Keepalive.Simulator.Pages;

/// <summary>The page of one scenario: failures and probes over time, distributions, closed forms.</summary>
internal static class RunPage
{
    /// <summary>The most points of a distribution.</summary>
    private const int MaxSteps = 200;

    /// <summary>Puts the page together.</summary>
    public static ChartReport Of(RunResult result)
    {
        var (scenario, totals) = (result.Scenario, result.Totals);
        return new ChartReport
        {
            Title = $"Scenario {scenario.Name}",
            Source = "keepalive-sim run",
            Verdict = Verdict(result),
            IsGood = totals.Requests == 0 ? null : result.Failed == 0,
            Facts =
            [
                new("requests", Number(totals.Requests)),
                new("failed", Words.Percent(result.FailureRate, 2)),
                new("503", Number(totals.Status503)),
                new("504", Number(totals.Status504)),
                new("probes per connection and hour", Text($"{result.ProbesPerHour:0.##}")),
                new("expired connections", Number(totals.Expiries)),
            ],
            Settings = [.. Settings(result)],
            Sections =
            [
                new ReportSection("Over time", "") { Charts = [Failures(result), Probes(result), Expiries(result)], Table = Timeline(result) },
                Distributions(result),
                .. Computed(result),
                .. Causes(totals),
            ],
        };
    }

    private static string Verdict(RunResult result)
    {
        var (scenario, totals) = (result.Scenario, result.Totals);
        if (totals.Requests == 0)
        {
            return "No request was made.";
        }
        if (result.Failed == 0)
        {
            return $"None of {Number(totals.Requests)} requests failed, with {Text($"{result.ProbesPerHour:0.##}")} keepalive probes per connection and hour.";
        }
        var balancer = result.FailedForgotten;
        return $"{Words.Percent(result.FailureRate, 2)} of {Number(totals.Requests)} requests failed. "
            + (balancer == 0 ? "None of them failed because the balancer had dropped its connection."
                : $"{(balancer == result.Failed ? "All" : Words.Percent((double)balancer / result.Failed, 1))} of these failed because the balancer had dropped the connection, idle for {Words.Duration(scenario.Rule.IdleTimeout)}"
                    + (scenario.Keepalive is { Time: { } time } ? $"; the first probe comes after {time}s." : "; nothing probes idle connections."));
    }

    private static (ChartScale Scale, double Unit, double[] Middles) Clock(RunResult result)
    {
        var duration = result.Scenario.Duration.TotalSeconds;
        var scale = ChartScale.Time("time", 0, duration, out var unit, isExact: true);
        return (scale, unit, [.. Enumerable.Range(0, VirtualTotals.Bins).Select(bin => (bin + 0.5) * duration / VirtualTotals.Bins / unit)]);
    }

    private static Chart Failures(RunResult result)
    {
        var (x, _, at) = Clock(result);
        var timeline = result.Totals.Timeline;
        double Part(int row, int bin) => timeline[VirtualTotals.RequestRow][bin] == 0 ? 0 : 100.0 * timeline[row][bin] / timeline[VirtualTotals.RequestRow][bin];
        ChartLine Line(int row, string name, int series) => new(name, ChartDrawing.Series(series), ChartShape.Points, [.. at.Select((time, bin) => new ChartPoint(time, Part(row, bin),
            $"{name}: {Words.Percent(Part(row, bin) / 100, 2)}\n{Number(timeline[row][bin])} of {Number(timeline[VirtualTotals.RequestRow][bin])} requests\n{Span(result, bin)}"))])
        { Mark = series };
        var expected = result.ClosedForms().FirstOrDefault(static row => row.What == ClosedFormRow.FailedRequests);
        var most = Enumerable.Range(0, VirtualTotals.Bins).Max(bin => Math.Max(Part(VirtualTotals.Status503Row, bin), Part(VirtualTotals.Status504Row, bin)));
        most = expected is null ? most : Math.Max(most, 100 * expected.Expected);
        ChartLine[] lines =
        [
            .. result.Totals.Status503 > 0 || result.Totals.Status504 == 0 ? [Line(VirtualTotals.Status503Row, "503", 0)] : Array.Empty<ChartLine>(),
            .. result.Totals.Status504 > 0 || result.Totals.Status503 == 0 ? [Line(VirtualTotals.Status504Row, "504", 1)] : Array.Empty<ChartLine>(),
        ];
        return new Chart
        {
            Title = "Failed requests",
            Words = $"{Words.Percent(result.FailureRate, 2)} of the requests failed: {Number(result.Totals.Status503)} with 503, {Number(result.Totals.Status504)} with 504."
                + (expected is null ? " There is no closed form for this scenario." : $" The closed form, {expected.Formula}, gives {Words.Percent(expected.Expected, 2)}."),
            X = x,
            Y = ChartScale.Numbers("of the requests, %", most > 0 ? Math.Min(100, most * 1.05) : 1),
            Lines = lines,
            Marks = expected is null ? [] : [new ChartMark(100 * expected.Expected, IsVertical: false, "closed form", ChartColour.Ink)],
        };
    }

    private static Chart Probes(RunResult result)
    {
        var (x, _, at) = Clock(result);
        var hours = result.Scenario.Connections * result.Scenario.Duration.TotalHours / VirtualTotals.Bins;
        var counts = result.Totals.Timeline[VirtualTotals.ProbeRow];
        return new Chart
        {
            Title = "Keepalive probes",
            Words = result.Probes == 0 ? "No keepalive probe was sent."
                : $"{Counted(result.Probes, "probe")} in all, {Text($"{result.ProbesPerHour:0.##}")} per connection and hour; {Text($"{result.Bytes / 1e6:0.##}")} MB with their answers.",
            X = x,
            Y = ChartScale.Numbers("per connection and hour", counts.Max() / hours),
            Lines = [new("", ChartColour.Series2, ChartShape.Points, [.. at.Select((time, bin) => new ChartPoint(time, counts[bin] / hours,
                $"{Text($"{counts[bin] / hours:0.##}")} probes per connection and hour\n{Counted(counts[bin], "probe")}\n{Span(result, bin)}"))]) { Mark = 2 }],
        };
    }

    private static Chart Expiries(RunResult result)
    {
        var (x, _, at) = Clock(result);
        var counts = result.Totals.Timeline[VirtualTotals.ExpiryRow];
        return new Chart
        {
            Title = "Connections that the balancer dropped",
            Words = $"{(result.Totals.Expiries == 0 ? "No connection expired" : $"{Counted(result.Totals.Expiries, "connection")} expired")}{(result.Totals.Forgotten > 0 ? $", {Number(result.Totals.Forgotten)} more were lost by restarts of the balancer" : "")}."
                + (result.Totals.ExpiredWaiting > 0 ? $" {Number(result.Totals.ExpiredWaiting)} of them while a response was awaited." : ""),
            X = x,
            Y = ChartScale.Numbers("connections", counts.Max()),
            Lines = [new("", ChartColour.Bad, ChartShape.Points, [.. at.Select((time, bin) => new ChartPoint(time, counts[bin], $"{Number(counts[bin])} expired\n{Span(result, bin)}"))]) { Mark = 3 }],
        };
    }

    private static ReportTable Timeline(RunResult result)
    {
        var timeline = result.Totals.Timeline;
        return new ReportTable("Figures over time", ["Time", "Requests", "200", "503", "504", "Probes", "Expired"],
        [
            .. Enumerable.Range(0, VirtualTotals.Bins).Select(bin => new ReportRow(
            [
                Span(result, bin), Number(timeline[VirtualTotals.RequestRow][bin]), Number(timeline[VirtualTotals.OkRow][bin]), Number(timeline[VirtualTotals.Status503Row][bin]),
                Number(timeline[VirtualTotals.Status504Row][bin]), Number(timeline[VirtualTotals.ProbeRow][bin]), Number(timeline[VirtualTotals.ExpiryRow][bin]),
            ])),
        ])
        { TextColumns = 1, IsFolded = true };
    }

    private static ReportSection Distributions(RunResult result)
    {
        var totals = result.Totals;
        var none = totals.Notices.Count == 0 && totals.Deaths.Count == 0;
        return new ReportSection("Distributions", none ? "No connection died of unanswered probes, and no endpoint failed silently: there is no time to notice." : "")
        {
            Charts =
            [
                ByFailures(totals),
                .. Times(totals.Notices, "Time to notice a dead endpoint", "From its silent failure until a client knew", result, isBound: false),
                .. Times(totals.Deaths, "Last packet to dead", "From the last packet that was received until all probes were unanswered", result, isBound: true),
            ],
        };
    }

    private static Chart ByFailures(VirtualTotals totals)
    {
        var (least, most) = (Array.FindIndex(totals.ByFailures, static count => count > 0), Math.Max(0, Array.FindLastIndex(totals.ByFailures, static count => count > 0)));
        var sum = totals.ByFailures.Sum();
        var x = ChartScale.Between("failed requests of a connection", Math.Max(0, least), Math.Max(least + 4, most), 8);
        // So many numbers are one bar that no more than some thirty are drawn.
        var width = Math.Max(1, (int)Math.Ceiling((most - x.Least + 1) / 32));
        var bars = new List<ChartPoint>();
        for (var from = (int)x.Least; from <= most; from += width)
        {
            var to = Math.Min(most, from + width - 1);
            var count = totals.ByFailures[from..(to + 1)].Sum();
            bars.Add(new(from + ((width - 1) / 2.0), count, $"{Counted(count, "connection")}\n{Named(from, to)} each\n{Words.Percent((double)count / sum, 2)} of all"));
        }
        return new Chart
        {
            Title = "Failures by connection",
            Words = $"{(totals.ByFailures[0] == 0 ? $"Each of {Number(sum)} connections had a failed request" : $"{Number(totals.ByFailures[0])} of {Number(sum)} connections had no failed request")}; the most of one: {most}{(most == VirtualTotals.MaxFailures ? " or more" : "")}.",
            X = x with { Least = x.Least - (0.6 * width), Most = Math.Max(x.Most, bars[^1].X + (0.6 * width)), Step = Math.Max(1, x.Step) },
            Y = ChartScale.Numbers("connections", bars.Max(static bar => bar.Y)),
            Lines = [new("", ChartColour.Series1, ChartShape.Bars, bars) { Width = 0.8 * width }],
        };

        static string Named(int from, int to) => $"{from}{(to > from ? $" to {to}" : "")}{(to == VirtualTotals.MaxFailures ? " or more" : "")} failed requests";
    }

    /// <summary>The part of connections whose time was at most so long.</summary>
    private static IEnumerable<Chart> Times(List<long> sorted, string title, string what, RunResult result, bool isBound)
    {
        if (sorted.Count == 0)
        {
            yield break;
        }
        var seconds = sorted.Select(static ticks => TimeSpan.FromTicks(ticks).TotalSeconds).ToList();
        var bound = isBound ? ClosedForm.Detection(result.Scenario) : null;
        var most = Math.Max(seconds[^1], bound?.Expected ?? 0);
        var x = ChartScale.Time("time", 0, most, out var unit);
        var points = new List<ChartPoint> { new(x.Least, 0) };
        for (var i = 1; i <= MaxSteps; i++)
        {
            var part = (double)i / MaxSteps;
            var index = Math.Max(0, (int)Math.Ceiling(part * seconds.Count) - 1);
            if (i < MaxSteps && points.Count > 1 && seconds[index] / unit == points[^1].X)
            {
                points.RemoveAt(points.Count - 1);
            }
            points.Add(new(seconds[index] / unit, 100 * part, $"{Words.Percent(part)} within {Seconds(seconds[index])}\n{what.ToLowerInvariant()}"));
        }
        points.Add(new(x.Most, 100));
        yield return new Chart
        {
            Title = title,
            Words = $"{what}: half within {Seconds(RunResult.Percentile(sorted, 0.5)!.Value)}, 99 % within {Seconds(RunResult.Percentile(sorted, 0.99)!.Value)}, the longest {Seconds(seconds[^1])}; {Number(sorted.Count)} in all."
                + (bound is { } form ? $" The closed form of the longest, {form.Formula}, gives {Seconds(form.Expected)}." : ""),
            X = x,
            Y = new ChartScale("of the connections, %", 0, 100, 20),
            Lines = [new("", ChartColour.Series1, ChartShape.Steps, points)],
            Marks = bound is { } mark ? [new ChartMark(mark.Expected / unit, IsVertical: true, $"closed form, {Seconds(mark.Expected)}", ChartColour.Ink)] : [],
        };
    }

    private static IEnumerable<ReportSection> Computed(RunResult result)
    {
        var rows = result.ClosedForms();
        if (rows.IsEmpty)
        {
            yield break;
        }
        yield return new ReportSection("Simulated and computed", "The closed form is computed without the simulation; both should agree.")
        {
            Table = new ReportTable("Closed forms", ["Figure", "Formula", "Computed", "Simulated", "Standard errors apart"],
            [
                .. rows.Select(static row => new ReportRow(
                [
                    row.What, row.Formula, Text($"{row.Expected:0.######}"), Text($"{row.Simulated:0.######}"), row is { StandardError: > 0, Errors: { } apart } ? Text($"{apart:+0.00;−0.00}") : "exact",
                ])),
            ])
            { TextColumns = 2 },
        };
    }

    private static IEnumerable<ReportSection> Causes(VirtualTotals totals)
    {
        if (totals.Status503 + totals.Status504 is var failed && failed == 0)
        {
            yield break;
        }
        yield return new ReportSection("Why requests failed", "")
        {
            Table = new ReportTable("Causes", ["Cause", "Requests", "Of the failed"],
                [.. RunReport.Causes.Where(one => totals.Of(one.Cause) > 0).OrderByDescending(one => totals.Of(one.Cause))
                    .Select(one => new ReportRow([one.Words, Number(totals.Of(one.Cause)), Words.Percent((double)totals.Of(one.Cause) / failed)]))])
            { TextColumns = 1 },
        };
    }

    /// <summary>The values of a scenario.</summary>
    private static IEnumerable<ReportSetting> Settings(RunResult result)
    {
        const string balancer = "Balancer", keepalive = "Keepalive", fleet = "Fleet", network = "Network";
        var scenario = result.Scenario;
        var (behaviour, isDecisive) = (scenario.Rule.Behaviour, result.FailedForgotten > 0);
        yield return new(balancer, "behaves like", scenario.Preset?.Name ?? "its description");
        yield return new(balancer, "idle timeout", Words.Duration(scenario.Rule.IdleTimeout), "", isDecisive);
        yield return new(balancer, "on expiry", behaviour.ExpiryName);
        yield return new(balancer, "restarted by", behaviour.RefreshName, behaviour.DropsProbes ? "probes are not answered" : "");
        yield return new(keepalive, "client", Named(scenario.Keepalive), scenario.Keepalive is null ? "nothing probes an idle connection" : "", isDecisive);
        yield return new(keepalive, "server", Named(scenario.ServerKeepalive));
        yield return new(fleet, "connections", Number(scenario.Connections), scenario.Pool > 1 ? $"pools of {scenario.Pool}" : "");
        yield return new(fleet, "requests", Named(scenario.Requests));
        if (scenario.ServiceTime is { } service)
        {
            yield return new(fleet, "service time", service.ToString()!);
        }
        yield return new(fleet, "request timeout", Words.Duration(scenario.RequestTimeout), scenario.Retries > 0 ? $"{Words.Count(scenario.Retries, "retry").Replace("retrys", "retries", StringComparison.Ordinal)} after a 503" : "");
        yield return new(fleet, "duration", Long(scenario.Duration));
        yield return new(network, "round trip", string.Create(CultureInfo.InvariantCulture, $"{scenario.RoundTrip.TotalMilliseconds:0.###} ms"));
        yield return new(network, "loss", Words.Percent(scenario.Loss, 2), scenario.LossBurst > TimeSpan.Zero ? $"in bursts of {Words.Duration(scenario.LossBurst)} on average" : "");
        if (scenario.Endpoints > 1 || !scenario.Failures.IsEmpty)
        {
            yield return new(network, "endpoints", Number(scenario.Endpoints), scenario.Failures.IsEmpty ? "" : $"{Words.Count(scenario.Failures.Length, "failure")} planned");
        }
        if (!scenario.Restarts.IsEmpty)
        {
            yield return new(balancer, "restarts", string.Join(", ", scenario.Restarts.Take(6).Select(Long)));
        }
        yield return new(fleet, "seed", scenario.Seed.ToString(CultureInfo.InvariantCulture));
    }

    private static string Named(KeepaliveSettings? settings) => settings?.ToString() ?? "off";

    private static string Named(Arrival arrival) => arrival switch
    {
        PoissonArrival poisson => $"Poisson, one in {Words.Duration(poisson.Mean)} on average",
        FixedArrival even => $"one every {Words.Duration(even.Every)}",
        OnOffArrival turns => $"busy for {Words.Duration(turns.On)}, pauses of {Words.Duration(turns.Off)}, one in {Words.Duration(turns.Mean)} while busy; all on average",
        TraceArrival trace => $"a trace of {Words.Count(trace.Times.Length, "client")}",
        _ => arrival.GetType().Name,
    };

    private static string Span(RunResult result, int bin)
    {
        var duration = result.Scenario.Duration.TotalSeconds;
        var (seconds, unit) = ChartScale.UnitOf(duration);
        return Text($"{bin * duration / VirtualTotals.Bins / seconds:0.##} to {(bin + 1) * duration / VirtualTotals.Bins / seconds:0.##} {unit}");
    }

    /// <summary>A long time in the units in which it is said.</summary>
    private static string Long(TimeSpan time) => time switch
    {
        { TotalMinutes: < 2 } => Text($"{time.TotalSeconds:0.##} s"),
        { TotalHours: < 2 } => Text($"{time.TotalMinutes:0.##} min"),
        { TotalDays: < 4 } => Text($"{time.TotalHours:0.##} h"),
        _ => Text($"{time.TotalDays:0.##} days"),
    };

    private static string Seconds(double seconds) => Text($"{seconds:0.0} s");

    private static string Counted(long number, string what) => $"{Number(number)} {what}{(number == 1 ? "" : "s")}";

    private static string Number(long number) => number.ToString("N0", CultureInfo.InvariantCulture);

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
