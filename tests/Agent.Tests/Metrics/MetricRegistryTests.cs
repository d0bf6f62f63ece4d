using System.Text;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Liveness;
using Keepalive.Agent.Metrics;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Serving;
using Keepalive.Agent.Sockets;
using Keepalive.Agent.Tests.Apply;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;
using Keepalive.Testbed;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Keepalive.Agent.Tests.Metrics;

/// <summary>The text of /metrics.</summary>
public sealed class MetricRegistryTests : IDisposable
{
    private static readonly KeepaliveOptions s_off = new(false, 7200, 75, 9);

    private readonly TestClock _time = new();
    private readonly MetricRegistry _registry = new("1.2.3", "pidfd", "6.18\"x\\y\nz");
    private readonly SocketTally _tally = new();
    private readonly ApplyCounts _counts = new();
    private readonly SocketCollector _sockets;
    private readonly PolicyFigures _policies;
    private readonly LivenessWatch _liveness;
    private readonly LivenessCollector _collector;

    public MetricRegistryTests()
    {
        _policies = new PolicyFigures(_time);
        _liveness = new LivenessWatch(captures: false, _time, NullLogger.Instance, maxInterfaces: 1, maxNamespaces: 0);
        _sockets = new SocketCollector(_registry, _tally, "pidfd");
        _registry.Add(_sockets);
        _collector = new LivenessCollector(_registry, _liveness);
        _registry.Add(_collector);
        _registry.Add(new PolicyCollector(_registry, _policies));
        _registry.Add(new ProcessCollector(_registry));
        _registry.Add(new KubernetesCollector(_registry, () => [("connectionpolicies.resilience.policy.gloo.solo.io", TimeSpan.FromSeconds(12.5), true), ("services", TimeSpan.Zero, false)]));
    }

    [Fact]
    public void Render_HostileLabelValue_IsEscaped() =>
        Assert.Contains("keepalive_agent_info{version=\"1.2.3\",datapath=\"pidfd\",kernel=\"6.18\\\"x\\\\y\\nz\"} 1\n", Render(), StringComparison.Ordinal);

    [Fact]
    public void Render_EveryMetric_HasHelpAndTypeBeforeItsSamplesAndOnce()
    {
        Everything();
        var seen = new HashSet<string>();
        string? current = null;
        foreach (var line in Render().Split('\n', StringSplitOptions.RemoveEmptyEntries))
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
            _sockets.Took(TimeSpan.FromSeconds(seconds));
        }
        var text = Render();
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
    public void Tally_ShortUserTimeouts_AreCountedByPolicyWhileTheyAreInForce()
    {
        Frame(1, Short(10, SocketOutcome.Managed), Short(11, SocketOutcome.Deferred), Short(12, SocketOutcome.Application),
            Short(13, SocketOutcome.Managed) with { UserTimeout = 16_000 }, Short(14, SocketOutcome.Kept) with { Reason = FailureReasons.UserTimeout },
            Short(15, SocketOutcome.Kept) with { Reason = FailureReasons.UserTimeout, Current = new KeepaliveOptions(false, 7200, 75, 9) });
        var text = Publish();
        Assert.Contains("keepalive_short_user_timeouts{policy=\"n/p\",namespace=\"\"} 2\n", text, StringComparison.Ordinal);
        Assert.Contains("keepalive_unprotected_sockets{namespace=\"\",reason=\"userTimeout\"} 1\n", text, StringComparison.Ordinal);
        Frame(1, Short(10, SocketOutcome.Managed) with { UserTimeout = 0 });
        Assert.DoesNotContain("keepalive_short_user_timeouts", Publish(), StringComparison.Ordinal);
    }

    [Fact]
    public void Tally_ShortUserTimeoutsOfTooManyPolicies_RestIsFolded()
    {
        Frame(1, [.. Enumerable.Range(0, 5000).Select(i => Short((ulong)i, SocketOutcome.Managed, $"n/p{i}"))]);
        var lines = Publish().Split('\n').Where(line => line.StartsWith("keepalive_short_user_timeouts{", StringComparison.Ordinal)).ToList();
        Assert.Equal(MetricCatalogue.MaxSeries + 1, lines.Count);
        Assert.Contains($"keepalive_short_user_timeouts{{policy=\"other\",namespace=\"\"}} {5000 - MetricCatalogue.MaxSeries}", lines);
    }

    [Fact]
    public void Tally_CountsOfPasses_Grow()
    {
        Frame(1, Record(10, SocketOutcome.Unreachable, reason: "noOwner"), Record(11, SocketOutcome.Restored, changed: true) with { Rule = null });
        var text = Publish();
        Assert.Contains("keepalive_apply_failures_total{reason=\"noOwner\"} 1\n", text, StringComparison.Ordinal);
        Assert.Contains("keepalive_restored_total 1\n", text, StringComparison.Ordinal);
        Frame(1, Record(10, SocketOutcome.Failed, reason: "EPERM"), Record(12, SocketOutcome.Unreachable, reason: "noOwner"));
        _tally.Failed("netlink: ENOBUFS", _counts);
        text = Render();
        Assert.Contains("keepalive_apply_failures_total{reason=\"EPERM\"} 1\n", text, StringComparison.Ordinal);
        Assert.Contains("keepalive_apply_failures_total{reason=\"noOwner\"} 2\n", text, StringComparison.Ordinal);
        Assert.Contains("keepalive_restored_total 1\n", text, StringComparison.Ordinal);
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
        // Removes all that differs between runs: the process's own figures, durations of collectors, and the order of series.
        var text = string.Concat(Families(Render())
            .SelectMany(family => family.Any(line => line.Contains("_bucket{", StringComparison.Ordinal)) ? family : [.. family.Take(2), .. family.Skip(2).Order(StringComparer.Ordinal)])
            .Where(line => !line.StartsWith("process_", StringComparison.Ordinal) && !line.StartsWith("keepalive_collector_duration_seconds{", StringComparison.Ordinal))
            .Select(line => line + "\n"));
        var golden = Path.Combine(Repository.Root, "tests", "Agent.Tests", "Metrics", "golden.prom");
        if (Environment.GetEnvironmentVariable("KEEPALIVE_WRITE_GOLDEN") == "1")
        {
            File.WriteAllText(golden, text);
        }
        Assert.Equal(File.ReadAllText(golden), text);
        Promtool(Render());
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
        Die(name, name);
        Passed();
        var text = Render();
        var plain = Everything("plain").Split('\n').Length;
        Assert.True(text.Split('\n').Length <= plain, text);
        Assert.DoesNotContain("\n# TYPE x counter", text, StringComparison.Ordinal);
        Assert.DoesNotContain(text.EnumerateRunes(), character => character.Value != '\n' && character.Value != ' ' && Keepalive.Config.TerminalText.IsUnsafe(character));
        Promtool(text);
    }

    [Fact]
    public void Retain_PolicyNoLongerInForce_ItsSeriesEnd()
    {
        var kept = Rig.PolicyFor("10.0.0.0/8", "time: 60s").Policy;
        var (policy, destination) = (kept.Rules[0].Policy, kept.Rules[0].Destination);
        foreach (var rule in new[] { Rule(policy, destination), Rule(policy, "n/gone"), Rule("n/gone", "n/d") })
        {
            Die(rule.Policy, rule.Destination);
            Frame(1, Record(1, SocketOutcome.Managed, changed: true, rule: rule));
        }
        Frame(1, Record(1, SocketOutcome.Failed, reason: "EPERM", rule: Rule(policy, destination)));
        Assert.Contains("n/gone", Publish(), StringComparison.Ordinal);
        _tally.Retain(kept);
        _liveness.Monitor.Retain(kept);
        var text = Publish();
        Assert.DoesNotContain("n/gone", text, StringComparison.Ordinal);
        Assert.Contains($"keepalive_probes_total{{policy=\"{policy}\",destination=\"{destination}\"", text, StringComparison.Ordinal);
        Assert.Contains($"keepalive_applied_total{{policy=\"{policy}\"", text, StringComparison.Ordinal);
        Assert.Contains("reason=\"EPERM\"", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Count_TooManyLabelSets_RestIsFolded()
    {
        for (var i = 0; i < 5000; i++)
        {
            Frame((ulong)i, Record((ulong)i, SocketOutcome.Managed, rule: Rule("n/p", $"n/d{i}"), netns: (ulong)i));
            Probe((ulong)i, Rule("n/p", $"n/d{i}"), Remote(i), 0);
            Probe((ulong)i, Rule("n/p", $"n/d{i}"), Remote(i), 1);
        }
        var text = Publish();
        var lines = text.Split('\n').Where(line => line.StartsWith("keepalive_probes_total{", StringComparison.Ordinal)).ToList();
        Assert.Equal(MetricCatalogue.MaxSeries + 1, lines.Count);
        Assert.Contains($"keepalive_probes_total{{policy=\"other\",destination=\"other\",namespace=\"\"}} {5000 - MetricCatalogue.MaxSeries}", lines);
        Assert.Contains("keepalive_destination_in_pool{policy=\"\",destination=\"\",endpoint=\"other\"} 1\n", text, StringComparison.Ordinal);
        Assert.Equal(MetricCatalogue.MaxSeries + 1, text.Split('\n').Count(line => line.StartsWith("keepalive_destination_in_pool{", StringComparison.Ordinal)));
        Assert.Contains("keepalive_sockets{policy=\"other\",destination=\"other\",namespace=\"\",state=\"managed\"} 4000\n", text, StringComparison.Ordinal);

        // Endpoints out of the pool are never folded.
        _liveness.Monitor.BeginNamespace(1);
        for (var i = 0; i < 4999; i++)
        {
            Probe((ulong)i, Rule("n/p", $"n/d{i}"), Remote(i), 1);
        }
        Probe(4999, Rule("n/p", "n/d4999"), Remote(4999), 3);
        _liveness.Monitor.EndNamespace(1);
        _liveness.Monitor.BeginNamespace(1);
        _liveness.Monitor.EndNamespace(1);
        Assert.Matches($"keepalive_destination_in_pool\\{{policy=\"n/p\",destination=\"n/d4999\",endpoint=\"[^\"]+\"\\}} 0\n", Publish());
    }

    [Fact]
    public void Render_ACollectorFails_IsReportedAndTheOthersAreRendered()
    {
        Frame(1, Record(10, SocketOutcome.Managed));
        Assert.Contains(Sample("managed", 1), Publish(), StringComparison.Ordinal);
        _policies.Loaded(1);
        _registry.Add(new CaptureCollector(_registry, _liveness, "no libpcap"));
        _tally.Failed("netlink: ENOBUFS", _counts);
        var text = Render();
        Assert.DoesNotContain("\nkeepalive_sockets", text, StringComparison.Ordinal);
        Assert.DoesNotContain("\nkeepalive_scanned_sockets", text, StringComparison.Ordinal);
        Assert.Contains("\nkeepalive_restored_total 0\n", text, StringComparison.Ordinal);
        Assert.Contains("keepalive_collector_success{collector=\"sockets\"} 0\n", text, StringComparison.Ordinal);
        Assert.Contains("keepalive_collector_success{collector=\"capture\"} 0\n", text, StringComparison.Ordinal);
        Assert.Contains("keepalive_collector_success{collector=\"policies\"} 1\n", text, StringComparison.Ordinal);
        Assert.Contains("keepalive_collector_success{collector=\"process\"} 1\n", text, StringComparison.Ordinal);
        Assert.Contains("keepalive_collector_success{collector=\"kubernetes\"} 1\n", text, StringComparison.Ordinal);
        Assert.Contains("keepalive_policies{state=\"loaded\"} 1\n", text, StringComparison.Ordinal);
        Assert.Contains(Sample("managed", 1), Publish(), StringComparison.Ordinal);
    }

    [Fact]
    public void Increments_OfKnownSeries_AllocateNothing()
    {
        var rule = Rule("n/p", "n/d");
        Probe(1, rule, Remote(1), 0);
        Count(10);
        Assert.Equal(0, Allocation.Of(() => Count(1000)));

        void Count(int times)
        {
            for (var i = 0; i < times; i++)
            {
                Probe(1, rule, Remote(1), (i % 2) + 1);
                _sockets.Took(TimeSpan.FromMilliseconds(i));
                _collector.Took(i);
            }
        }
    }

    /// <summary>An increase from 0 is one to Prometheus; a series that begins with 1 is not.</summary>
    [Fact]
    public void Deaths_BeforeTheFirst_AreZero()
    {
        Probe(1, Rule("n/p", "n/d"), Remote(1), 0);
        var before = Render();
        foreach (var cause in new[] { "probes", "reset", "timeout" })
        {
            Assert.Contains($"keepalive_connections_dead_total{{policy=\"n/p\",destination=\"n/d\",namespace=\"\",cause=\"{cause}\"}} 0\n", before, StringComparison.Ordinal);
        }
        Assert.Contains("keepalive_probes_total{policy=\"n/p\",destination=\"n/d\",namespace=\"\"} 0\n", before, StringComparison.Ordinal);
        Die("n/p", "n/d");
        Assert.Contains("namespace=\"\",cause=\"probes\"} 1\n", Render(), StringComparison.Ordinal);
    }

    [Fact]
    public void Unprotected_Connections_AreCountedByReason()
    {
        var on = new KeepaliveOptions(true, 60, 75, 9);
        var late = new KeepaliveOptions(true, 7200, 75, 9);
        Frame(
            1,
            Record(1, SocketOutcome.Unmanaged) with { Rule = null },
            Record(2, SocketOutcome.Unmanaged) with { Rule = null, Timer = TcpTimer.Keepalive },
            Record(3, SocketOutcome.Unmanaged) with { Rule = null, IsLocal = true },
            Record(4, SocketOutcome.WouldApply) with { Replaced = s_off, Current = on },
            Record(5, SocketOutcome.WouldApply) with { Replaced = on, Current = on },
            Record(6, SocketOutcome.Unreachable, reason: "noOwner"),
            Record(7, SocketOutcome.Application) with { Current = s_off },
            Record(8, SocketOutcome.Managed) with { Current = on },
            // SO_KEEPALIVE alone: the first probe after two hours.
            Record(9, SocketOutcome.Unmanaged) with { Rule = null, Timer = TcpTimer.Keepalive, TimerExpires = 7_190_000 },
            Record(10, SocketOutcome.Unmanaged) with { Rule = null, Timer = TcpTimer.Keepalive, TimerExpires = 200_000 },
            Record(11, SocketOutcome.Unmanaged) with { Rule = null, Timer = TcpTimer.Keepalive, TimerExpires = 7_190_000, IsLocal = true },
            Record(12, SocketOutcome.WouldApply) with { Replaced = late, Current = on },
            Record(13, SocketOutcome.Kept) with { Current = late },
            Record(14, SocketOutcome.Kept) with { Current = on },
            Record(15, SocketOutcome.Application) with { Current = late },
            Record(16, SocketOutcome.Unreachable, reason: "noOwner") with { Timer = TcpTimer.Keepalive, TimerExpires = 7_190_000 },
            Record(17, SocketOutcome.Unreachable, reason: "noOwner") with { Timer = TcpTimer.Keepalive, TimerExpires = 200_000 },
            Record(18, SocketOutcome.Managed) with { Current = late });
        Assert.Equal(
            ["application 1", "noOwner 2", "noPolicy 1", "tooLate 3", "wouldApply 2"],
            Unprotected().Select(s => $"{s.Key.Reason} {s.Value}").Order());
        Frame(1);
        Assert.Empty(Unprotected());

        IReadOnlyCollection<KeyValuePair<(string Namespace, string Reason), double>> Unprotected()
        {
            Passed();
            return _tally.Now.Unprotected;
        }
    }

    [Fact]
    public void Process_Metrics_AreThisProcesss()
    {
        var lines = Render().Split('\n').Where(line => line.StartsWith("process_", StringComparison.Ordinal))
            .ToDictionary(line => line.Split(' ')[0], line => double.Parse(line.Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture));
        using var process = System.Diagnostics.Process.GetCurrentProcess();
        Assert.InRange(lines["process_start_time_seconds"], new DateTimeOffset(process.StartTime).ToUnixTimeSeconds() - 2, new DateTimeOffset(process.StartTime).ToUnixTimeSeconds() + 2);
        Assert.InRange(lines["process_resident_memory_bytes"], process.WorkingSet64 / 2, process.WorkingSet64 * 2);
        Assert.InRange(lines["process_cpu_seconds_total"], 0, process.TotalProcessorTime.TotalSeconds + 1);
        Assert.InRange(lines["process_open_fds"], 3, lines["process_max_fds"]);
    }

    [Fact]
    public void Page_ConcurrentRequests_ShareOneUnchangedRendering()
    {
        var time = _time;
        var scrapes = new MetricsPage(_registry, time);
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

    public void Dispose() => _liveness.Dispose();

    /// <summary>A registry in which every metric has a value.</summary>
    private string Everything(string name = "n/p")
    {
        Frame(1, Record(10, SocketOutcome.Managed, changed: true, rule: Rule(name, name)), Record(11, SocketOutcome.Failed, reason: "EPERM"),
            Short(12, SocketOutcome.Managed, name));
        _sockets.Took(TimeSpan.FromSeconds(0.003));
        _collector.Took(0.0005);
        Die(name, "n/d");
        Probe(2, Rule(name, "n/d"), Remote(2), 0);
        _policies.Loaded(1);
        _registry.Add(new CaptureCollector(_registry, _liveness, null));
        Passed(new PassSummary { Sockets = 2, Namespaces = 3, NamespaceFailures = 2, NamespacesLeftOut = 1, LeftToPasses = 2 });
        return Render();
    }

    /// <summary>A socket whose user timeout ends it after the first lost probe.</summary>
    private static SocketRecord Short(ulong cookie, SocketOutcome outcome, string policy = "n/p", ulong netns = 1) =>
        Record(cookie, outcome, rule: Rule(policy, policy), netns: netns) with { Current = new KeepaliveOptions(true, 4, 2, 6), UserTimeout = 3_000 };

    /// <summary>A connection with three unanswered probes.</summary>
    private void Die(string policy, string destination)
    {
        _liveness.Monitor.BeginNamespace(1);
        Probe(1, Rule(policy, destination), Remote(1), 0);
        Probe(1, Rule(policy, destination), Remote(1), 3);
        _liveness.Monitor.EndNamespace(1);
        _liveness.Monitor.BeginNamespace(1);
        _liveness.Monitor.EndNamespace(1);
    }

    private void Probe(ulong cookie, CompiledRule rule, SocketEndpoint remote, int unanswered) => _liveness.Monitor.Socket(new SocketRecord
    {
        Namespace = 1,
        Cookie = cookie,
        Local = default,
        Remote = remote,
        State = TcpState.Established,
        Current = new KeepaliveOptions(true, 60, 10, 3),
        Unanswered = unanswered,
        Timer = TcpTimer.Keepalive,
        Rule = rule,
    });

    private string Render()
    {
        using var text = new MemoryStream();
        _registry.Write(text);
        return Encoding.UTF8.GetString(text.ToArray());
    }

    /// <summary>The lines of each metric: help, type and series.</summary>
    private static List<List<string>> Families(string text)
    {
        var families = new List<List<string>>();
        foreach (var line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            if (line.StartsWith("# HELP ", StringComparison.Ordinal))
            {
                families.Add([]);
            }
            families[^1].Add(line);
        }
        return families;
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
        Passed();
        return Render();
    }

    private void Passed(PassSummary summary = default) => _tally.Passed(in summary, _counts);

    private static SocketEndpoint Remote(int number) => new(((UInt128)0x2001_0db8_0000_0000 << 64) + (UInt128)number, 443);

    /// <summary>Reports sockets of a namespace as changed, so that the pass counts each of them.</summary>
    private void Frame(ulong netns, params SocketRecord[] records)
    {
        _tally.BeginNamespace(netns);
        foreach (var record in records)
        {
            _tally.Socket(in record);
            Count(in record);
        }
        _tally.EndNamespace(netns);
    }

    private void Count(in SocketRecord record)
    {
        switch (record)
        {
            case { Outcome: SocketOutcome.Failed or SocketOutcome.Unreachable, Reason: { } reason }:
                _counts.CountFailure(reason);
                break;
            case { Changed: true, Outcome: SocketOutcome.Restored }:
                _counts.CountRestored();
                break;
            case { Changed: true, Rule: { } rule }:
                _counts.CountApplied(rule.Policy, record.Namespace, record.Workload);
                break;
        }
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
        Replaced = changed ? s_off : null,
        Reason = reason,
        Rule = rule ?? Rule("n/p", "n/d"),
    };
}
