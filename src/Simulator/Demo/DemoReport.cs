using System.Globalization;
using Keepalive.Probes.Pages;
using Keepalive.Simulator.Balancing;
using Keepalive.Simulator.Lab;

namespace Keepalive.Simulator.Demo;

/// <summary>The page of the demo: the connection of each act, with its requests.</summary>
/// <param name="began">The time 0 of the lab.</param>
internal sealed class DemoReport(DateTimeOffset began)
{
    private readonly List<Played> _acts = [];

    /// <summary>Begins an act.</summary>
    /// <param name="act">The act.</param>
    /// <param name="rule">Its balancer.</param>
    /// <param name="past">Connections of the acts before.</param>
    /// <param name="withPolicy">Whether the agent enforces the policy.</param>
    /// <returns>The recorder of its packets.</returns>
    public PacketRecorder Begin(DemoAct act, BalancerRule rule, IEnumerable<LabFlowKey> past, bool withPolicy)
    {
        var recorder = new PacketRecorder(rule);
        _acts.Add(new Played(act, recorder, [.. past], withPolicy, []));
        return recorder;
    }

    /// <summary>Adds a request of the client.</summary>
    /// <param name="from">When it was sent, since the lab began.</param>
    /// <param name="to">When its answer came.</param>
    /// <param name="status">The status; 0 for no answer.</param>
    /// <param name="body">The answer.</param>
    public void Requested(TimeSpan from, TimeSpan to, int status, string body) =>
        _acts[^1].Requests.Add(new ReportRequest(Nanoseconds(from), Nanoseconds(to), status, $"GET {WebClient.Path}: {status} {body}"));

    /// <summary>Puts the report together. To be called when nothing is forwarded any more.</summary>
    /// <param name="duration">Of the demo.</param>
    public PacketReport Complete(TimeSpan duration)
    {
        var directory = Directory.CreateTempSubdirectory("keepalive-demo-policy-");
        try
        {
            var policy = Path.Combine(directory.FullName, "policy.yaml");
            File.WriteAllText(policy, DemoPolicy.Text);
            var connections = _acts.SelectMany(act => Connections(act, policy)).ToList();
            var requests = _acts.SelectMany(act => act.Requests).ToList();
            return new PacketReport
            {
                Title = "A connection idles, a balancer forgets it, and the next request pays",
                Source = "keepalive-sim demo",
                Began = (began - DateTimeOffset.UnixEpoch).Ticks * TimeSpan.NanosecondsPerTick,
                Lanes = ["client", "balancer", "server"],
                IsAligned = true,
                Connections = connections,
                Facts =
                [
                    new("connections", Number(connections.Count)),
                    new("requests", string.Join(", ", requests.GroupBy(request => request.Status).OrderBy(group => group.Key)
                        .Select(group => string.Create(CultureInfo.InvariantCulture, $"{group.Count()} × {group.Key}")))),
                    new("keepalive probes", Number(connections.Sum(connection => connection.Packets.Count(packet => packet.Kind == PacketKind.Probe)))),
                    new("expired", Number(connections.Sum(connection => connection.Marks.Count(mark => mark.Kind == MarkKind.Expired)))),
                    new("duration", string.Create(CultureInfo.InvariantCulture, $"{duration.TotalSeconds:0} s")),
                ],
            };
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    private static IEnumerable<ReportConnection> Connections(Played act, string policy)
    {
        foreach (var recorded in act.Recorder.Connections().Where(one => !act.Past.Contains(one.Key)))
        {
            var expired = recorded.Count(LabEventKind.Expired) > 0;
            var failed = act.Requests.Any(request => request.Status is < 200 or >= 400);
            yield return recorded.Connection with
            {
                Name = act.Act.Title,
                Trouble = failed ? Trouble.Failure : expired ? Trouble.Notice : Trouble.None,
                Verdict = Verdict(recorded, act),
                Requests = act.Requests,
                Settings =
                [
                    .. PacketSettings.Of(act.Act.Balancer, act.Recorder.Rule, expired),
                    .. PacketSettings.Of(act.WithPolicy ? policy : null, act.Recorder.Rule, expired, recorded.Count(LabEventKind.Refreshed) > 0),
                ],
            };
        }
    }

    private static string Verdict(RecordedConnection recorded, Played act)
    {
        var last = act.Requests.Count > 0 ? act.Requests[^1].Status : 0;
        var probes = recorded.Count(LabEventKind.Refreshed);
        var timeout = Words.Duration(act.Recorder.Rule.IdleTimeout);
        return recorded switch
        {
            _ when recorded.Count(LabEventKind.Expired) == 0 && probes > 0 =>
                $"{Words.Count(probes, "keepalive probe")} restarted the balancer's clock, each before {timeout} were over: the request after the idle time got {last}.",
            _ when recorded.Count(LabEventKind.Expired) == 0 => $"The balancer's clock did not run out: the last request got {last}.",
            _ when recorded.Count(LabEventKind.Reset) > 0 =>
                $"Nothing was sent for {timeout}, and the balancer forgot the connection. It answered the next request with a reset: the client got {last}.",
            _ => $"Nothing was sent for {timeout}, and the balancer forgot the connection. It swallowed the next request without an answer: the client got {last}.",
        };
    }

    private static string Number(long number) => number.ToString(CultureInfo.InvariantCulture);

    private static long Nanoseconds(TimeSpan time) => time.Ticks * TimeSpan.NanosecondsPerTick;

    private sealed record Played(DemoAct Act, PacketRecorder Recorder, HashSet<LabFlowKey> Past, bool WithPolicy, List<ReportRequest> Requests);
}
