using System.Text.Json;
using Keepalive.Simulator.Balancing;

namespace Keepalive.Simulator.Lab;

/// <summary>The lab's timeline for programs: one object a line; <c>time</c> is seconds since the lab began.</summary>
internal sealed class JsonLabReport(TextWriter output) : LabReport(output)
{
    public override void Started(LabSetting setting) => Write(TimeSpan.Zero, "started", json =>
    {
        json.WriteString("balancer", setting.Preset?.Name);
        json.WriteNumber("idleTimeout", Seconds(setting.Rule.IdleTimeout));
        json.WriteString("expiry", setting.Rule.Behaviour.ExpiryName);
        json.WriteString("refresh", setting.Rule.Behaviour.RefreshName);
        json.WriteBoolean("answersProbes", !setting.Rule.Behaviour.DropsProbes);
        json.WriteString("clientAddress", LabNetwork.ClientAddress.ToString());
        json.WriteString("serverAddress", LabNetwork.ServerAddress.ToString());
        json.WriteString("clientAddress6", LabNetwork.ClientAddress6.ToString());
        json.WriteString("serverAddress6", LabNetwork.ServerAddress6.ToString());
    });

    public override void Happened(LabEvent what) => LineIfRoom(Format(what.Time, Name(what.Kind), json =>
    {
        json.WriteString("client", what.Flow.EndPoint(FlowEnd.Client).ToString());
        json.WriteString("server", what.Flow.EndPoint(FlowEnd.Server).ToString());
        json.WriteString("openedBy", what.OpenedBy.Name());
        if (what.Kind is not (LabEventKind.Opened or LabEventKind.Expired or LabEventKind.Closed))
        {
            json.WriteString(what.Kind is LabEventKind.Reset or LabEventKind.Finished ? "to" : "from", what.End.Name());
        }
        if (what.Sequence is { } sequence)
        {
            json.WriteString("flags", what.Flags.Text());
            json.WriteNumber("sequence", sequence);
            json.WriteNumber("length", what.Length);
            if (what.Kind is LabEventKind.Swallowed or LabEventKind.Revived)
            {
                json.WriteBoolean("probe", what.IsProbe);
            }
        }
        if (what.Kind is not LabEventKind.Opened)
        {
            json.WriteNumber("idle", Seconds(what.Idle));
        }
    }));

    public override void Output(TimeSpan time, string who, string stream, string text, bool continues) => LineWhenRoom(Format(time, "output", json =>
    {
        json.WriteString("process", who);
        json.WriteString("stream", stream);
        json.WriteString("text", text);
        if (continues)
        {
            json.WriteBoolean("continues", true);
        }
    }));

    public override void Note(TimeSpan time, string text) => Write(time, "note", json => json.WriteString("text", text));

    public override void Exited(TimeSpan time, string who, int exitCode) => Write(time, "exited", json =>
    {
        json.WriteString("process", who);
        json.WriteNumber("exitCode", exitCode);
    });

    public override void Ended(LabSummary summary) => Write(summary.Duration, "summary", json =>
    {
        var totals = summary.Totals;
        json.WriteNumber("opened", totals.Opened);
        json.WriteNumber("closed", totals.Closed);
        json.WriteNumber("expired", totals.Expired);
        json.WriteNumber("revived", totals.Revived);
        json.WriteNumber("probes", totals.ClientProbes + totals.ServerProbes);
        json.WriteNumber("clientProbes", totals.ClientProbes);
        json.WriteNumber("serverProbes", totals.ServerProbes);
        json.WriteNumber("probesAnswered", totals.ProbesAnswered);
        json.WriteNumber("refreshed", totals.Refreshes);
        json.WriteNumber("resets", totals.Resets);
        json.WriteNumber("fins", totals.Fins);
        json.WriteNumber("swallowed", totals.Swallowed);
        json.WriteNumber("tableFull", totals.TableFull);
        json.WriteNumber("frames", summary.Frames);
        json.WriteNumber("lost", summary.Lost);
        json.WriteNumber("linesLeftOut", LeftOut);
    });

    private static string Name(LabEventKind kind) => kind switch
    {
        LabEventKind.Finished => "fin",
        LabEventKind.Probed => "probe",
        _ => kind.ToString().ToLowerInvariant(),
    };

    private static double Seconds(TimeSpan time) => Math.Round(time.TotalSeconds, 6);

    private void Write(TimeSpan time, string what, Action<Utf8JsonWriter> fields) => Line(Format(time, what, fields));

    private static string Format(TimeSpan time, string what, Action<Utf8JsonWriter> fields) => SimulatorJson.Lines.Of(json =>
    {
        json.WriteNumber("time", Seconds(time));
        json.WriteString("event", what);
        fields(json);
    });
}
