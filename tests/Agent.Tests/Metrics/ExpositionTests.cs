using System.Diagnostics.Metrics;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Metrics;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Sockets;
using Xunit;

namespace Keepalive.Agent.Tests.Metrics;

public sealed class ExpositionTests : IDisposable
{
    private static readonly KeepaliveOptions Off = new(false, 7200, 75, 9);

    private readonly MetricCatalogue _catalogue = new();
    private readonly AgentStatus _status = new();
    private readonly Exposition _exposition;
    private readonly SocketTally _tally;

    public ExpositionTests()
    {
        _exposition = new Exposition(_catalogue, _status, "1.2.3", "pidfd", "6.18\"x\\y\nz");
        _tally = new SocketTally(_catalogue, "pidfd");
    }

    [Fact]
    public void Render_HostileLabelValue_IsEscaped() =>
        Assert.Contains("keepalive_agent_info{version=\"1.2.3\",datapath=\"pidfd\",kernel=\"6.18\\\"x\\\\y\\nz\"} 1\n", _exposition.Render(), StringComparison.Ordinal);

    [Fact]
    public void Render_EveryMetric_HasHelpAndTypeBeforeItsSamplesAndOnce()
    {
        // One of everything: what has no series has no head either.
        Frame(1, Record(10, SocketOutcome.Managed, changed: true), Record(11, SocketOutcome.Failed, reason: "EPERM"));
        _catalogue.ScanDuration.Record(0.003);
        Span<KeyValuePair<string, object?>> labels = [new("policy", "n/p"), new("destination", "n/d"), new("namespace", "")];
        foreach (var counter in (Counter<long>[])[_catalogue.Probes, _catalogue.ProbeReplies, _catalogue.ProbesUnanswered, _catalogue.ConnectionsDead])
        {
            counter.Add(1, labels);
        }
        _status.Publish(new AgentStatus.Gauges(_tally.Samples(), 2, 1, 0, 0)
        {
            Unprotected = _tally.Unprotected(),
            Endpoints = [new Sample("{endpoint=\"10.0.0.1:1\"}", 1)],
        });
        var seen = new HashSet<string>();
        string? current = null;
        foreach (var line in _exposition.Render().Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            var words = line.Split(' ');
            if (words[0] == "#")
            {
                Assert.Equal(words[1] == "HELP", seen.Add(words[2]));
                Assert.NotEmpty(words[3]);
                current = words[2];
                continue;
            }
            Assert.StartsWith(current!, line, StringComparison.Ordinal);
            Assert.True(double.TryParse(words[^1], out _), line);
        }
        Assert.Equal(MetricCatalogue.Help.Keys.Order(), seen.Order());
    }

    [Fact]
    public void Histogram_Buckets_AreCumulative()
    {
        foreach (var seconds in new[] { 0.001, 0.002, 0.3, 60 })
        {
            _catalogue.ScanDuration.Record(seconds);
        }
        var text = _exposition.Render();
        Assert.Contains("keepalive_scan_duration_seconds_bucket{le=\"0.001\"} 1\n", text, StringComparison.Ordinal);
        Assert.Contains("keepalive_scan_duration_seconds_bucket{le=\"0.0025\"} 2\n", text, StringComparison.Ordinal);
        Assert.Contains("keepalive_scan_duration_seconds_bucket{le=\"0.5\"} 3\n", text, StringComparison.Ordinal);
        Assert.Contains("keepalive_scan_duration_seconds_bucket{le=\"5\"} 3\n", text, StringComparison.Ordinal);
        Assert.Contains("keepalive_scan_duration_seconds_bucket{le=\"+Inf\"} 4\n", text, StringComparison.Ordinal);
        Assert.Contains("keepalive_scan_duration_seconds_count 4\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Tally_SocketsComeAndGo_SeriesFollow()
    {
        Frame(1, Record(10, SocketOutcome.Managed, changed: true), Record(11, SocketOutcome.Kept));
        Frame(2, Record(20, SocketOutcome.Managed, changed: true, netns: 2));
        Assert.Contains(Sample("managed", 2), Publish(), StringComparison.Ordinal);
        Frame(1, Record(11, SocketOutcome.Kept));
        var text = Publish();
        Assert.Contains(Sample("managed", 1), text, StringComparison.Ordinal);
        Assert.Contains(Sample("kept", 1), text, StringComparison.Ordinal);
        _tally.NamespaceGone(1);
        _tally.NamespaceGone(2);
        Assert.DoesNotContain("keepalive_sockets{", Publish(), StringComparison.Ordinal);
        Assert.Contains("keepalive_applied_total{policy=\"n/p\",namespace=\"\",datapath=\"pidfd\"} 2\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Tally_SameFailureReportedAgain_CountsOnce()
    {
        for (var i = 0; i < 3; i++)
        {
            Frame(1, Record(10, SocketOutcome.Unreachable, reason: "noOwner"));
        }
        Assert.Contains("keepalive_apply_failures_total{reason=\"noOwner\"} 1\n", Publish(), StringComparison.Ordinal);
        Frame(1, Record(10, SocketOutcome.Failed, reason: "EPERM"));
        Assert.Contains("keepalive_apply_failures_total{reason=\"EPERM\"} 1\n", Publish(), StringComparison.Ordinal);
    }

    [Fact]
    public void Tally_ReportOutsideItsFrame_ReplacesTheSocketsState()
    {
        Frame(1, Record(10, SocketOutcome.Deferred));
        ISocketSink sink = _tally;
        sink.Socket(Record(10, SocketOutcome.Application));
        var text = Publish();
        Assert.Contains(Sample("kept", 1), text, StringComparison.Ordinal);
        Assert.DoesNotContain("state=\"managed\"", text, StringComparison.Ordinal);
    }

    public void Dispose()
    {
        _exposition.Dispose();
        _catalogue.Dispose();
    }

    private static string Sample(string state, int count) => $"keepalive_sockets{{policy=\"n/p\",destination=\"n/d\",namespace=\"\",state=\"{state}\"}} {count}\n";

    private string Publish()
    {
        _status.Publish(new AgentStatus.Gauges(_tally.Samples(), 0, 0, 0, 0));
        return _exposition.Render();
    }

    private void Frame(ulong netns, params SocketRecord[] records)
    {
        _tally.BeginNamespace(netns);
        foreach (var record in records)
        {
            _tally.Socket(in record);
        }
        _tally.EndNamespace(netns);
    }

    private static SocketRecord Record(ulong cookie, SocketOutcome outcome, bool changed = false, string? reason = null, ulong netns = 1) => new()
    {
        Namespace = netns,
        Cookie = cookie,
        Local = default,
        Remote = new SocketEndpoint(1 + ((UInt128)0xFFFF_0A00_0001), 443),
        State = TcpState.Established,
        Outcome = outcome,
        Changed = changed,
        Replaced = changed ? Off : null,
        Reason = reason,
        Rule = new CompiledRule
        {
            Policy = "n/p",
            Destination = "n/d",
            Settings = default,
            Prefix = default,
            Port = 0,
            Position = default,
        },
    };
}
