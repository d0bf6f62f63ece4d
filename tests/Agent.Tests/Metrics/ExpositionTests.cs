using System.Diagnostics.Metrics;
using System.Text;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Metrics;
using Keepalive.Agent.Serving;
using Keepalive.Agent.Sockets;
using Keepalive.Agent.Tests.Apply;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Agent.Tests.Metrics;

public sealed class ExpositionTests : IDisposable
{
    private static readonly KeepaliveOptions Off = new(false, 7200, 75, 9);

    private readonly MetricCatalogue _catalogue = new();
    private readonly AgentStatus _status = new()
    {
        KubernetesAges = () => [("connectionpolicies.resilience.policy.gloo.solo.io", TimeSpan.FromSeconds(12.5)), ("services", TimeSpan.Zero)],
    };
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
        Everything();
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

    [Fact]
    public void Render_KnownState_IsTheGoldenTextAndPromtoolAgrees()
    {
        Everything();
        // What no two runs have in common: the process's own figures, and how long collectors took.
        var text = string.Concat(_exposition.Render().Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Where(line => !line.StartsWith("process_", StringComparison.Ordinal) && !line.StartsWith("keepalive_collector_duration_seconds{", StringComparison.Ordinal))
            .Select(line => line + "\n"));
        var golden = Path.Combine(Repository.Root, "tests", "Agent.Tests", "Metrics", "golden.prom");
        if (Environment.GetEnvironmentVariable("KEEPALIVE_WRITE_GOLDEN") == "1")
        {
            File.WriteAllText(golden, text);
        }
        Assert.Equal(File.ReadAllText(golden), text);
        Promtool(_exposition.Render());
    }

    [Theory]
    [InlineData("a\"} 1\nkeepalive_sockets{policy=\"b")]
    [InlineData("\\")]
    [InlineData("\\\"\\n")]
    [InlineData("\r\n# TYPE x counter\n")]
    [InlineData("\u0000\u001b[31m")]
    [InlineData("exe\u202egpj\u2028")]
    [InlineData("\ud800 half a pair")]
    [InlineData("ratings → \ud83d\ude00 {x=\"y\"}")]
    [InlineData("")]
    public void Render_HostileNames_StayLabelValues(string name)
    {
        Frame(1, Record(10, SocketOutcome.Managed, changed: true, rule: Rule(name, name)), Record(11, SocketOutcome.Failed, reason: name));
        _catalogue.Probes.Add(1, new("policy", name), new("destination", name), new("namespace", name));
        _status.Publish(new AgentStatus.Gauges(_tally.Samples(), 1, 1, 0, 0)
        {
            Endpoints = [new Sample(Exposition.Labels(("policy", name), ("destination", name), ("endpoint", "10.0.0.1:1")), 1)],
        });
        var text = _exposition.Render();
        var plain = Everything("plain").Split('\n').Length;
        Assert.True(text.Split('\n').Length <= plain, text);
        Assert.DoesNotContain("\n# TYPE x counter", text, StringComparison.Ordinal);
        Assert.DoesNotContain(text.EnumerateRunes(), character => character.Value != '\n' && character.Value != ' ' && Keepalive.Config.TerminalText.IsUnsafe(character));
        Promtool(text);
    }

    [Fact]
    public void Retain_PolicyNoLongerInForce_ItsSeriesAreGone()
    {
        var kept = Rig.PolicyFor("10.0.0.0/8", "time: 60s").Policy;
        foreach (var (policy, destination) in new[] { (kept.Rules[0].Policy, kept.Rules[0].Destination), (kept.Rules[0].Policy, "n/gone"), ("n/gone", "n/d") })
        {
            _catalogue.Probes.Add(1, new("policy", policy), new("destination", destination), new("namespace", ""));
            _catalogue.Applied.Add(1, new("policy", policy), new("namespace", ""), new("datapath", "pidfd"));
        }
        _catalogue.ApplyFailures.Add(1, new KeyValuePair<string, object?>("reason", "EPERM"));
        _exposition.Retain(kept);
        var text = _exposition.Render();
        Assert.DoesNotContain("n/gone", text, StringComparison.Ordinal);
        Assert.Contains($"keepalive_probes_total{{policy=\"{kept.Rules[0].Policy}\",destination=\"{kept.Rules[0].Destination}\"", text, StringComparison.Ordinal);
        Assert.Contains($"keepalive_applied_total{{policy=\"{kept.Rules[0].Policy}\"", text, StringComparison.Ordinal);
        Assert.Contains("reason=\"EPERM\"", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Count_TooManyLabelSets_TheRestIsFolded()
    {
        for (var i = 0; i < 5000; i++)
        {
            _catalogue.Probes.Add(1, new("policy", "n/p"), new("destination", $"n/d{i}"), new("namespace", ""));
            Frame((ulong)i, Record((ulong)i, SocketOutcome.Managed, rule: Rule("n/p", $"n/d{i}"), netns: (ulong)i));
        }
        var text = Publish();
        var lines = text.Split('\n').Where(line => line.StartsWith("keepalive_probes_total{", StringComparison.Ordinal)).ToList();
        Assert.Equal(Exposition.MostSeries + 1, lines.Count);
        Assert.Contains($"keepalive_probes_total{{policy=\"other\",destination=\"other\",namespace=\"\"}} {5000 - Exposition.MostSeries}", lines);
        for (var i = 0; i < 3; i++)
        {
            _catalogue.Probes.Add(1, new("policy", "n/p"), new("destination", $"n/d{i}"), new("namespace", $"ci-{i}"));
        }
        Assert.Contains("keepalive_probes_total{policy=\"other\",destination=\"other\",namespace=\"other\"} 3\n", _exposition.Render(), StringComparison.Ordinal);
        Assert.Contains("keepalive_sockets{policy=\"other\",destination=\"other\",namespace=\"\",state=\"managed\"} 4000\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Render_ACollectorFails_TheOthersAreThereAndItSaysSo()
    {
        Frame(1, Record(10, SocketOutcome.Managed));
        _status.Publish(new AgentStatus.Gauges(_tally.Samples(), 1, 1, 0, 0) { PassFailure = "netlink: ENOBUFS", Captures = true, CaptureFailure = "no libpcap" });
        var text = _exposition.Render();
        Assert.DoesNotContain("keepalive_sockets", text, StringComparison.Ordinal);
        Assert.Contains("keepalive_collector_success{collector=\"sockets\"} 0\n", text, StringComparison.Ordinal);
        Assert.Contains("keepalive_collector_success{collector=\"capture\"} 0\n", text, StringComparison.Ordinal);
        Assert.Contains("keepalive_collector_success{collector=\"policies\"} 1\n", text, StringComparison.Ordinal);
        Assert.Contains("keepalive_collector_success{collector=\"process\"} 1\n", text, StringComparison.Ordinal);
        Assert.Contains("keepalive_collector_success{collector=\"kubernetes\"} 1\n", text, StringComparison.Ordinal);
        Assert.Contains("keepalive_policies{state=\"loaded\"} 1\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Render_WithoutACluster_SaysNothingOfOne()
    {
        using var exposition = new Exposition(_catalogue, new AgentStatus(), "1.2.3", "pidfd", "");
        Assert.DoesNotContain("kubernetes", exposition.Render(), StringComparison.Ordinal);
    }

    [Fact]
    public void Unprotected_Connections_ByReason()
    {
        var on = new KeepaliveOptions(true, 60, 75, 9);
        Frame(
            1,
            Record(1, SocketOutcome.Unmanaged) with { Rule = null },
            Record(2, SocketOutcome.Unmanaged) with { Rule = null, Timer = TcpTimer.Keepalive },
            Record(3, SocketOutcome.Unmanaged) with { Rule = null, Local = Record(3, SocketOutcome.Unmanaged).Remote },
            Record(4, SocketOutcome.WouldApply) with { Replaced = Off, Current = on },
            Record(5, SocketOutcome.WouldApply) with { Replaced = on, Current = on },
            Record(6, SocketOutcome.Unreachable, reason: "noOwner"),
            Record(7, SocketOutcome.Application) with { Current = Off },
            Record(8, SocketOutcome.Managed) with { Current = on });
        Assert.Equal(
            ["application 1", "noOwner 1", "noPolicy 1", "wouldApply 1"],
            _tally.Unprotected().Select(s => $"{s.Labels.Split('"')[3]} {s.Value}").Order());
        Frame(1);
        Assert.Empty(_tally.Unprotected());
    }

    [Fact]
    public void Process_Metrics_AreThisProcesss()
    {
        var lines = _exposition.Render().Split('\n').Where(line => line.StartsWith("process_", StringComparison.Ordinal))
            .ToDictionary(line => line.Split(' ')[0], line => double.Parse(line.Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture));
        using var process = System.Diagnostics.Process.GetCurrentProcess();
        Assert.InRange(lines["process_start_time_seconds"], new DateTimeOffset(process.StartTime).ToUnixTimeSeconds() - 2, new DateTimeOffset(process.StartTime).ToUnixTimeSeconds() + 2);
        Assert.InRange(lines["process_resident_memory_bytes"], process.WorkingSet64 / 2, process.WorkingSet64 * 2);
        Assert.InRange(lines["process_cpu_seconds_total"], 0, process.TotalProcessorTime.TotalSeconds + 1);
        Assert.InRange(lines["process_open_fds"], 3, lines["process_max_fds"]);
    }

    [Fact]
    public void Scrapes_AtTheSameTime_ShareOneRenderingThatIsNotWrittenTo()
    {
        var time = new TestClock();
        var scrapes = new Scrapes(_exposition, _status, time);
        using var first = scrapes.Rent(gzip: false);
        var before = Encoding.UTF8.GetString(first.Bytes.Span);
        using (var second = scrapes.Rent(gzip: false))
        {
            Assert.True(first.Bytes.Equals(second.Bytes));
        }
        Frame(1, Record(10, SocketOutcome.Managed));
        Publish();
        for (var i = 0; i < 10; i++)
        {
            time.Advance(TimeSpan.FromSeconds(2));
            using var later = scrapes.Rent(gzip: i % 2 == 0);
            Assert.False(first.Bytes.Equals(later.Bytes));
        }
        Assert.Equal(before, Encoding.UTF8.GetString(first.Bytes.Span));
        using var packed = scrapes.Rent(gzip: true);
        using var plain = scrapes.Rent(gzip: false);
        using var unpacked = new MemoryStream();
        using (var gzip = new System.IO.Compression.GZipStream(new MemoryStream(packed.Bytes.ToArray()), System.IO.Compression.CompressionMode.Decompress))
        {
            gzip.CopyTo(unpacked);
        }
        Assert.Equal(plain.Bytes.ToArray(), unpacked.ToArray());
        Assert.Contains(Sample("managed", 1), Encoding.UTF8.GetString(unpacked.ToArray()), StringComparison.Ordinal);
    }

    public void Dispose()
    {
        _exposition.Dispose();
        _catalogue.Dispose();
    }

    /// <summary>One of everything: what has no series has no head either.</summary>
    private string Everything(string name = "n/p")
    {
        Frame(1, Record(10, SocketOutcome.Managed, changed: true, rule: Rule(name, name)), Record(11, SocketOutcome.Failed, reason: "EPERM"));
        _catalogue.ScanDuration.Record(0.003);
        _catalogue.ProbeRoundTrip.Record(0.0005);
        Span<KeyValuePair<string, object?>> labels = [new("policy", name), new("destination", "n/d"), new("namespace", "")];
        foreach (var counter in (Counter<long>[])[_catalogue.Probes, _catalogue.ProbeReplies, _catalogue.ProbesUnanswered])
        {
            counter.Add(3, labels);
        }
        _catalogue.ConnectionsDead.Add(1, [.. labels, new("cause", "probes")]);
        _status.Publish(new AgentStatus.Gauges(_tally.Samples(), 2, 1, 0, 1795465223.014)
        {
            Namespaces = (3, 2, 1),
            Unprotected = _tally.Unprotected(),
            Endpoints = [new Sample(Exposition.Labels(("policy", name), ("destination", "n/d"), ("endpoint", "[2001:db8::1]:443")), 1)],
            Captures = true,
        });
        return _exposition.Render();
    }

    private static void Promtool(string text)
    {
        if (!Command.Exists("promtool"))
        {
            Live.Require("promtool");
        }
        var file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, text);
            var result = Command.Try(["sh", "-c", "promtool check metrics < \"$0\"", file]);
            Assert.True(result is { ExitCode: 0, Output: "", Error: "" }, $"{result.ExitCode}: {result.Output}{result.Error}");
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static CompiledRule Rule(string policy, string destination) => new()
    {
        Policy = policy,
        Destination = destination,
        Settings = default,
        Prefix = default,
        Port = 0,
        Position = default,
    };

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

    private static SocketRecord Record(ulong cookie, SocketOutcome outcome, bool changed = false, string? reason = null, ulong netns = 1, CompiledRule? rule = null) => new()
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
        Rule = rule ?? Rule("n/p", "n/d"),
    };
}
