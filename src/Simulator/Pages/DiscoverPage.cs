using System.Globalization;
using Keepalive.Config.Balancers;
using Keepalive.Probes.Pages;
using Keepalive.Simulator.Discover;
using Keepalive.Simulator.Reports;

namespace Keepalive.Simulator.Pages;

/// <summary>The page of a measurement: idle times tested, how each connection answered, how the timeout became known, the result and the policy.</summary>
internal static class DiscoverPage
{
    /// <summary>How connections answer: in words, and drawn.</summary>
    private static readonly (IdleAnswer Answer, string Name, string Words, ChartColour Colour, int Mark)[] s_answers =
    [
        (IdleAnswer.Alive, "still known", "was acknowledged: still known", ChartColour.Good, 0),
        (IdleAnswer.Reset, "reset", "was answered with a reset: dropped", ChartColour.Bad, 1),
        (IdleAnswer.Silent, "no answer", "got no answer: dropped", ChartColour.Bad, 2),
        (IdleAnswer.ResetByItself, "reset by itself", "got a reset before the test", ChartColour.Series2, 1),
        (IdleAnswer.ClosedByItself, "closed by itself", "got a FIN before the test", ChartColour.Series4, 3),
    ];

    /// <summary>Puts the page together.</summary>
    /// <param name="verdicts">A result for each address.</param>
    /// <param name="policy">The policy, with its comment, or why there is none; empty for nothing to say.</param>
    public static ChartReport Of(IReadOnlyList<DiscoveryVerdict> verdicts, string policy)
    {
        var measured = verdicts.Select(static verdict => verdict.Measured).ToList();
        var direct = verdicts.Select(static verdict => verdict.Direct).FirstOrDefault(static direct => direct is not null);
        var hosts = string.Join(", ", verdicts.Select(static verdict => verdict.Host.ToString()).Distinct());
        return new ChartReport
        {
            Title = $"Idle timeout to {hosts}",
            Source = "keepalive-sim discover",
            Verdict = string.Join(" ", verdicts.Select(verdict => Sentence(verdict, verdicts.Count > 1))),
            IsGood = measured.Exists(static one => one.IsUncertain) ? false : measured.TrueForAll(static one => one.IsMeasured) ? true : null,
            Facts =
            [
                new("idle timeout", string.Join("; ", measured.Select(DiscoveryReport.Timeout))),
                new("tests", Number(measured.Sum(static one => one.Observations.Count))),
                new("connections", Number(measured.Sum(static one => one.Connections))),
                new("took", Seconds(measured.Max(static one => one.Took))),
            ],
            Settings = [.. measured.Take(1).SelectMany(static one => Settings(one.Request))],
            Sections =
            [
                .. verdicts.SelectMany(Sections),
                .. direct is null ? [] : Measured(direct, $"{direct.Request.Remote}, the direct way"),
                .. policy.Length == 0 ? Array.Empty<ReportSection>() : [new ReportSection("Policy", "") { Code = policy }],
            ],
        };
    }

    private static string Sentence(DiscoveryVerdict verdict, bool isNamed)
    {
        var measured = verdict.Measured;
        var name = isNamed ? $"{measured.Request.Remote}: " : "";
        return measured is { Cut: { } obstacle, IsEverOpened: false } ? $"{name}Not measured: {obstacle}."
            : measured.IsMeasured ? $"{name}Idle connections are dropped after {DiscoveryReport.Timeout(measured)}" + (measured.Classes.Count > 0
                ? $" ({string.Join(" or ", measured.Classes.Select(IdleBehaviour.NameOf))})." : ".")
            : $"{name}Idle timeout {DiscoveryReport.Timeout(measured)}.";
    }

    private static IEnumerable<ReportSection> Sections(DiscoveryVerdict verdict)
    {
        var name = verdict.Measured.Request.Remote.ToString();
        yield return new ReportSection(name, "")
        {
            Table = new ReportTable($"Result for {name}", ["Result", ""], [.. DiscoveryReport.Lines(verdict).Select(static line => new ReportRow([line.Name, line.Text]))]) { TextColumns = 2 },
        };
        foreach (var section in Measured(verdict.Measured, name))
        {
            yield return section;
        }
    }

    private static ReportSection[] Measured(Measurement measured, string name) => measured.Observations.Count == 0 ? [] :
    [
        new ReportSection($"How {name} was measured",
            "Each connection is left idle for another time, and then tested: first a ladder of times, up to the first that a connection does not survive; then the gap.")
        {
            Charts = [Tests(measured), .. Narrowing(measured)],
            Table = Table(measured),
        },
    ];

    private static TimeSpan Idle(Measurement measured, in Observation seen) => measured.IsPayloadOnly ? seen.SincePayload : seen.SinceAny;

    private static Chart Tests(Measurement measured)
    {
        var all = measured.Observations;
        var most = all.Max(seen => Idle(measured, in seen)).TotalSeconds;
        var x = ChartScale.Time("idle", 0, most, out var unit);
        var y = ChartScale.Time("tested after", 0, measured.Took.TotalSeconds, out var clock);
        var rungs = measured.Ladder.Where(rung => rung.TotalSeconds <= most).Select(rung => new ChartPoint(rung.TotalSeconds / unit, 0)).ToList();
        var lines = new List<ChartLine>();
        foreach (var (answer, name, words, colour, mark) in s_answers)
        {
            List<ChartPoint> points =
            [
                .. all.Where(seen => seen.Answer == answer).Select(seen => (Idle: Idle(measured, in seen), seen.At)).OrderBy(static one => one.Idle)
                    .Select(one => new ChartPoint(one.Idle.TotalSeconds / unit, one.At.TotalSeconds / clock, $"Idle for {Seconds(one.Idle)}\n{words}\n{Seconds(one.At)} after the beginning")),
            ];
            if (points.Count > 0)
            {
                lines.Add(new ChartLine($"{name} ({points.Count})", colour, ChartShape.Scatter, points) { Mark = mark });
            }
        }
        var (from, to) = (measured.Timeout.From.TotalSeconds / unit, measured.Timeout.To?.TotalSeconds / unit);
        return new Chart
        {
            Title = "Idle times tested, and how connections answered",
            Words = string.Join(", ", s_answers.Select(one => (one.Name, Count: all.Count(seen => seen.Answer == one.Answer))).Where(static one => one.Count > 0).Select(static one => $"{one.Count} {one.Name}"))
                + $". The longest idle time tested was {Seconds(TimeSpan.FromSeconds(most))}. Triangles at the bottom: the ladder.",
            X = x,
            Y = y,
            Lines = [.. lines, .. rungs.Count > 0 ? [new ChartLine("", ChartColour.Soft, ChartShape.Scatter, rungs) { Mark = 3 }] : Array.Empty<ChartLine>()],
            Bands = from > 0 ? [new ChartBand(0, Math.Min(from, x.Most), "known")] : [],
            Marks = to is { } end && end <= x.Most ? [new ChartMark(end, IsVertical: true, "dropped", ChartColour.Bad)] : [],
        };
    }

    private static IEnumerable<Chart> Narrowing(Measurement measured)
    {
        var steps = measured.Narrowing;
        if (steps.Count == 0)
        {
            yield break;
        }
        var tops = steps.Select(static step => step.Timeout.To).OfType<TimeSpan>().ToList();
        var most = steps.Max(static step => step.Timeout.From) is var longest && tops.Count > 0 && tops.Max() > longest ? tops.Max() : longest;
        var x = ChartScale.Time("time", 0, measured.Took.TotalSeconds, out var clock, isExact: true);
        var y = ChartScale.Time("idle timeout", 0, most.TotalSeconds, out var unit);
        ChartPoint Point(TimeSpan at, TimeSpan value, string name) => new(at.TotalSeconds / clock, value.TotalSeconds / unit, $"{name} {Seconds(value)}\nknown after {Seconds(at)}");
        List<ChartPoint> least = [.. steps.Select(step => Point(step.At, step.Timeout.From, "at least"))];
        List<ChartPoint> highest = [.. steps.Where(static step => step.Timeout.To is not null).Select(step => Point(step.At, step.Timeout.To!.Value, "at most"))];
        foreach (var bound in new[] { least, highest })
        {
            if (bound.Count > 0)
            {
                bound.Add(bound[^1] with { X = x.Most, Text = null });
            }
        }
        var last = steps[^1].Timeout;
        yield return new Chart
        {
            Title = "How the idle timeout became known",
            Words = $"In {steps.Count} steps to at least {Seconds(last.From)}{(last.To is { } end ? $" and at most {Seconds(end)}" : "; no connection was dropped")}.",
            X = x,
            Y = y,
            Lines =
            [
                .. highest.Count > 0 ? [new ChartLine("at most", ChartColour.Bad, ChartShape.Steps, highest)] : Array.Empty<ChartLine>(),
                new ChartLine("at least", ChartColour.Good, ChartShape.Steps, least),
            ],
        };
    }

    private static ReportTable Table(Measurement measured) => new("Tests", ["Tested after", "Idle for", "Answer"],
    [
        .. measured.Observations.OrderBy(static seen => seen.At).Select(seen => new ReportRow(
            [Seconds(seen.At), Seconds(Idle(measured, in seen)), Array.Find(s_answers, one => one.Answer == seen.Answer).Words], seen.Answer == IdleAnswer.Alive)),
        .. measured.ControlEnds.OrderBy(static seen => seen.At).Select(static seen => new ReportRow(
            [Seconds(seen.At), "probed every second", $"{Array.Find(s_answers, one => one.Answer == seen.Answer).Words}, {Seconds(seen.Age)} old"], false)),
    ])
    { TextColumns = 3, IsFolded = true };

    private static IEnumerable<ReportSetting> Settings(DiscoverRequest request)
    {
        const string effort = "Effort";
        yield return new(effort, "longest idle time", Words.Duration(request.Until), "--until");
        yield return new(effort, "connections", Number(request.Connections), "at a time, to each address");
        yield return new(effort, "precision", Words.Percent(request.Precision), "of the timeout");
        yield return new(effort, "payload", request.Payload.Length == 0 ? "none" : Words.Count(request.Payload.Length, "byte"));
    }

    private static string Seconds(TimeSpan time) => time.TotalSeconds.ToString(time < TimeSpan.FromSeconds(100) ? "0.00" : "0.0", CultureInfo.InvariantCulture) + " s";

    private static string Number(long number) => number.ToString("N0", CultureInfo.InvariantCulture);
}
