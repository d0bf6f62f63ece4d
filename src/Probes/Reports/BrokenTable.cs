using System.Globalization;
using Keepalive.CommandLine;
using Keepalive.Probes.Classify;

namespace Keepalive.Probes.Reports;

/// <summary>Connections that turned out to be dead after a silence, in a table for people, and what they say about the way.</summary>
internal static class BrokenTable
{
    private const int MaxRows = 40;

    private static readonly string[] s_heads = ["FRAME", "SILENCE", "SOURCE", "DESTINATION", "SENT", "RESULT"];

    /// <summary>The rows, with a head.</summary>
    /// <param name="broken">The connections.</param>
    /// <param name="forgotten">How many more there were.</param>
    public static IEnumerable<string> Rows(List<BrokenConnection> broken, long forgotten)
    {
        var rows = new List<string[]> { s_heads };
        rows.AddRange(broken.Take(MaxRows).Select(static one => new[]
        {
            Number(one.Silence.Frame), Seconds(one.Silence.Length), one.From.ToString(), one.To.ToString(), Sent(one.Silence.EndedBy), Result(in one),
        }));
        foreach (var line in TextTable.Lines(rows))
        {
            yield return line + "\n";
        }
        var more = Math.Max(0, broken.Count - MaxRows) + forgotten;
        if (more > 0)
        {
            yield return $"and {Number(more)} more{(forgotten == 0 ? "; -o json lists all" : "")}\n";
        }
    }

    /// <summary>The range in which the idle timeout of something on the way must be, in a line.</summary>
    public static string Conclusion(IdleTimeout timeout)
    {
        var broken = $"{timeout.Server}: {Words.Count(timeout.Broken, "connection")} dead after {(timeout.Broken == 1 ? "" : "at least ")}{Seconds(timeout.BrokenLeast)} of silence";
        var where = timeout.Own < timeout.Broken ? "something on the way" : "that end, or something beside it,";
        var range = !timeout.IsOne ? $", others alive after up to {Seconds(timeout.SurvivedMost)}: no single idle timeout on the way explains both\n"
            : timeout.SurvivedMost > 0 ? $", others alive after up to {Seconds(timeout.SurvivedMost)}: as if {where} had an idle timeout between the two"
                + (timeout.Own < timeout.Broken ? $". A keepalive time below {Seconds(timeout.SurvivedMost)} prevents this\n" : "\n")
            : $", none alive after {Seconds(Silence.Least)} or more: as if {where} had an idle timeout below {Seconds(timeout.BrokenLeast)}\n";
        return broken + range
            + (timeout.Forged == 0 ? ""
                : $"{timeout.Server}: {Words.Count(timeout.Forged, "reset")} with another TTL than the packets before: sent by a device on the way in the name of this end\n")
            + (timeout.Own == 0 ? ""
                : $"{timeout.Server}: {Words.Count(timeout.Own, "reset")} that nothing asked for, with the TTL of the packets before: if that end closes idle connections with a reset, keepalive does not change it\n")
            + (timeout.SilentAtEnd == 0 || !timeout.IsOne ? ""
                : $"{timeout.Server}: {Words.Count(timeout.SilentAtEnd, "more connection")} silent for the last {Seconds(timeout.BrokenLeast)} of the capture or longer: probably dead, too\n");
    }

    /// <summary>The content of a packet, as in the JSON.</summary>
    public static string Sent(SilenceEnd content) => content switch
    {
        SilenceEnd.Data => "data",
        SilenceEnd.Probe => "probe",
        SilenceEnd.Fin => "fin",
        SilenceEnd.Reset => "reset",
        _ => "acknowledgement",
    };

    private static string Result(in BrokenConnection one)
    {
        if (one.ResetFrame == 0)
        {
            return $"no answer{Repeated(one.Silence.Sent)}";
        }
        if (one.IsGivenUp)
        {
            return $"no answer{Repeated(one.Silence.Sent - 1)}; given up with a reset, frame {Number(one.ResetFrame)}";
        }
        var hops = one.HopLimitBefore == 0 ? $"TTL {one.HopLimit}"
            : one.IsForged ? $"TTL {one.HopLimit}, packets before {one.HopLimitBefore}: not its own"
            : $"TTL {one.HopLimit} as before";
        var close = one.IsAfterClose ? "; that end had closed before" : "";
        return one.Silence.EndedBy == SilenceEnd.Reset ? hops + close : $"reset by {Number(one.ResetFrame)}{After(one.ResetTime - one.Silence.Time)}, {hops}{close}";
    }

    private static string Repeated(int sent) => sent > 1 ? $" to it and {Number(sent - 1)} more" : "";

    private static string After(long nanoseconds) => nanoseconds < 0 ? "" : string.Create(CultureInfo.InvariantCulture, $" after {nanoseconds / 1e6:0.###} ms");

    private static string Seconds(long nanoseconds) => string.Create(CultureInfo.InvariantCulture, $"{nanoseconds / 1e9:#,0.###} s");

    private static string Number(long number) => number.ToString("N0", CultureInfo.InvariantCulture);
}
