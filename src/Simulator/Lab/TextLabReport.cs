using System.Globalization;
using Keepalive.Config.Balancers;
using Keepalive.Simulator.Balancing;

namespace Keepalive.Simulator.Lab;

/// <summary>The lab's timeline for people: when, what, to which connection, and why.</summary>
internal sealed class TextLabReport(TextWriter output, bool colours) : LabReport(output)
{
    /// <summary>Lines about connections; beyond that number only the summary counts them.</summary>
    private const int MaxLines = 2_000;

    private int _lines;
    private Refresh _refresh;

    public override void Started(LabSetting setting)
    {
        var (rule, preset) = (setting.Rule, setting.Preset);
        var usual = TimeSpan.FromSeconds(preset?.IdleTimeout ?? 0);
        var instead = preset is not null && usual != TimeSpan.Zero && rule.IdleTimeout != usual ? $" instead of {Words.Duration(usual)}" : "";
        Lab(TimeSpan.Zero, $"{preset?.Product ?? "a balancer"}: idle timeout {Words.Duration(rule.IdleTimeout)}{instead}; {Refreshing(rule.Behaviour)}");
        Lab(TimeSpan.Zero, $"on expiry, {rule.Behaviour.ExpiryName}: {PacketSettings.Meaning(rule.Behaviour.Expiry)}");
        Lab(TimeSpan.Zero, $"client {LabNetwork.ClientAddress} and {LabNetwork.ClientAddress6}, server {LabNetwork.ServerAddress} and {LabNetwork.ServerAddress6}");
        _refresh = rule.Behaviour.Refresh;
    }

    public override void Happened(LabEvent what)
    {
        if (++_lines > MaxLines)
        {
            if (_lines == MaxLines + 1)
            {
                Lab(what.Time, $"{MaxLines} lines about connections: the others are only counted; -o json has all");
            }
            return;
        }
        var (colour, text) = Describe(what);
        var opener = what.Flow.EndPoint(what.OpenedBy);
        LineIfRoom(Format(what.Time, Label(what.Kind), colour, $"{opener} → {what.Flow.EndPoint(what.OpenedBy.Other())}{(text.Length > 0 ? "  " : "")}{text}"));
    }

    public override void Output(TimeSpan time, string who, string stream, string text, bool continues) => LineWhenRoom(Format(time, who, "2", text));

    public override void Note(TimeSpan time, string text) => Line(Format(time, "lab", "33", text));

    public override void Exited(TimeSpan time, string who, int exitCode) =>
        Line(Format(time, who, "1", string.Create(CultureInfo.InvariantCulture, $"ended with exit code {exitCode}")));

    public override void Ended(LabSummary summary)
    {
        var totals = summary.Totals;
        var probes = totals.ClientProbes + totals.ServerProbes;
        Lab(summary.Duration, Join(
            $"{Words.Count(totals.Opened, "connection")} opened",
            $"{totals.Expired} idled out",
            totals.Revived > 0 ? $"{totals.Revived} revived" : "",
            totals.TableFull > 0 ? $"{totals.TableFull} refused for a full table" : ""));
        Lab(summary.Duration, probes == 0
            ? "no keepalive probes"
            : $"{Words.Count(probes, "keepalive probe")}: {totals.ProbesAnswered} answered, {totals.Refreshes} restarted the idle clock");
        Lab(summary.Duration, $"the balancer sent {Words.Count(totals.Resets, "reset")} and {Words.Count(totals.Fins, "FIN")}, "
            + $"and swallowed {totals.Swallowed} of {Words.Count(summary.Frames, "frame")}");
        if (summary.Overrun > 0)
        {
            Lab(summary.Duration, $"{Words.Count(summary.Overrun, "frame")} lost: this machine was too slow for them");
        }
        if (summary.Lost > summary.Overrun)
        {
            Lab(summary.Duration, $"{Words.Count(summary.Lost - summary.Overrun, "frame")} lost: too long for the MTU, or the link down or gone");
        }
        if (LeftOut > 0)
        {
            Lab(summary.Duration, $"{Words.Count(LeftOut, "line")} left out here: the reader was too slow for them");
        }
    }

    private static string Label(LabEventKind kind) => kind switch
    {
        LabEventKind.Expired => "idle out",
        LabEventKind.Finished => "fin",
        LabEventKind.Probed => "probe",
        _ => kind.ToString().ToLowerInvariant(),
    };

    private (string Colour, string Text) Describe(LabEvent what) => what.Kind switch
    {
        LabEventKind.Opened or LabEventKind.Closed => ("32", ""),
        LabEventKind.Refused => ("31", $"by the {what.End.Name()}: nobody listens there"),
        LabEventKind.Aborted => ("31", $"by a reset of the {what.End.Name()}'s own"),
        LabEventKind.Refreshed => ("32", $"by a keepalive probe of the {what.End.Name()}, after {Seconds(what.Idle)}"),
        LabEventKind.Probed => ("33", $"from the {what.End.Name()}: does not count here, idle for {Seconds(what.Idle)} so far"),
        LabEventKind.Ignored => ("31", $"a keepalive probe of the {what.End.Name()}: no answer, idle for {Seconds(what.Idle)} so far"),
        LabEventKind.Expired => ("31", $"{Quiet(_refresh)} for {Seconds(what.Idle)}"),
        LabEventKind.Reset or LabEventKind.Finished =>
            ("31", string.Create(CultureInfo.InvariantCulture, $"to the {what.End.Name()}, sequence number {what.Sequence}")),
        LabEventKind.Swallowed => ("31", $"{Content(what)} from the {what.End.Name()}, {Seconds(what.Idle)} after expiry"),
        LabEventKind.Revived => ("32", $"by {Content(what)} from the {what.End.Name()}"),
        _ => ("0", ""),
    };

    private static string Content(LabEvent what) => what.IsProbe ? "a keepalive probe"
        : what.Length > 0 ? Words.Count(what.Length, "byte")
        : what.Flags.Text();

    private static string Quiet(Refresh refresh) => refresh switch
    {
        Refresh.PayloadOnly => "no payload",
        Refresh.PerDirection => "nothing in one direction",
        _ => "no packet",
    };

    private static string Refreshing(IdleBehaviour behaviour) => behaviour.Refresh switch
    {
        Refresh.AnyPacket => "any packet restarts it",
        Refresh.PayloadOnly when behaviour.DropsProbes => "only payload restarts it, and probes are not answered: keepalive ends healthy connections",
        Refresh.PayloadOnly => "only payload restarts it",
        Refresh.PerDirection => "each direction has its own",
        _ => throw new ArgumentOutOfRangeException(nameof(behaviour)),
    };

    private static string Seconds(TimeSpan time) => string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.00} s");

    private static string Join(params IEnumerable<string> parts) => string.Join(", ", parts.Where(part => part.Length > 0));

    private void Lab(TimeSpan time, string text) => Line(Format(time, "lab", "1", text));

    private string Format(TimeSpan time, string label, string colour, string text) =>
        string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds,8:0.000} s  ")
            + (colours ? $"\e[{colour}m{label,-9}\e[0m " : $"{label,-9} ") + text;
}
