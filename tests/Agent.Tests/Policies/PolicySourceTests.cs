using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Keepalive.Agent.Policies;
using Keepalive.Config;
using Keepalive.Config.Reading;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Agent.Tests.Policies;

/// <summary>From files, hosts and a cluster's objects to the policy in force, and the effect of a change of each.</summary>
public sealed class PolicySourceTests : IDisposable
{
    private static readonly TimeSpan s_soon = TimeSpan.FromSeconds(20);
    private static readonly IPAddress s_first = IPAddress.Parse("203.0.113.1");
    private static readonly IPAddress s_second = IPAddress.Parse("203.0.113.2");

    private readonly TestClock _clock = new();
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-policies");
    private readonly ConcurrentDictionary<string, IPAddress[]> _names = new();
    private FixedCluster? _cluster;

    [Fact]
    public void Files_Changed_AreReadOnceTheyAreStable()
    {
        Write("a.yaml", PolicyText.For("10.0.0.1", "time: 60s"));
        var source = Source();
        Assert.Equal(["10.0.0.1"], RulesOf(source.Load(default)));
        Assert.Null(Look(source));

        Write("a.yaml", PolicyText.For("10.0.0.22", "time: 60s"));
        Assert.Null(Look(source));
        Assert.True(source.IsChanging);
        _clock.Advance(TimeSpan.FromSeconds(1) - TimeSpan.FromTicks(1));
        Assert.Null(Look(source));
        // Another write restarts the wait.
        Write("a.yaml", PolicyText.For("10.0.0.3", "time: 60s"));
        _clock.Advance(TimeSpan.FromTicks(1));
        Assert.Null(Look(source));
        _clock.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(["10.0.0.3"], RulesOf(Look(source)));
        Assert.False(source.IsChanging);
        Assert.Null(Look(source));
    }

    [Fact]
    public void Files_WithAnError_LastValidPolicyStaysInForce()
    {
        Write("a.yaml", PolicyText.For("10.0.0.1", "time: 60s"));
        var source = Source();
        var good = source.Load(default).Snapshot;
        Write("a.yaml", PolicyText.For("10.0.0.1", "time: sixty"));
        var refused = Settled(source)!;
        Assert.Null(refused.Snapshot);
        Assert.Single(refused.Errors);
        Assert.Null(Look(source));
        Write("a.yaml", PolicyText.For("10.0.0.1", "time: 60s"));
        Assert.Same(good, Settled(source)!.Snapshot);
    }

    [Fact]
    public void Files_OfADirectoryWithoutAny_AreAnErrorOnlyWithoutACluster()
    {
        Assert.Null(Source().Load(default).Snapshot);
        Assert.NotNull(Source(new FixedCluster()).Load(default).Snapshot);
        Write("a.yaml", "");
        Assert.Null(Source(new FixedCluster()).Load(default).Snapshot);
    }

    [Fact]
    public void Hosts_AreLookedUpAtOnceAndAgainInTheBackground()
    {
        Write("a.yaml", OfHosts("db.example.com"));
        _names["db.example.com"] = [s_first];
        var source = Source();
        Assert.Equal(["203.0.113.1"], RulesOf(source.Load(default)));
        _names["db.example.com"] = [s_first, s_second];
        _clock.Advance(TimeSpan.FromSeconds(30) - TimeSpan.FromTicks(1));
        Assert.Null(Look(source));
        _clock.Advance(TimeSpan.FromTicks(1));
        var load = Change(source);
        Assert.Equal(["203.0.113.1", "203.0.113.2"], RulesOf(load));
        Assert.Empty(load.Diagnostics);

        // A failed look-up keeps the last addresses. It is logged once.
        _names.Clear();
        _clock.Advance(TimeSpan.FromSeconds(30));
        var kept = Change(source);
        Assert.Equal([DiagnosticCatalog.LastAnswer.Code], kept.Diagnostics.Select(diagnostic => diagnostic.Code));
        Assert.Same(load.Snapshot, kept.Snapshot);
    }

    [Fact]
    public void Hosts_OfRefusedFiles_AreReplacedByThoseInForce()
    {
        Write("a.yaml", OfHosts("db.example.com"));
        _names["db.example.com"] = [s_first];
        var source = Source();
        Assert.NotNull(source.Load(default).Snapshot);
        // Each object is valid, but together they need too many rules.
        var addresses = string.Join(", ", Enumerable.Range(0, 9000).Select(i => $"10.0.{i >> 8}.{i & 255}"));
        var ports = string.Concat(Enumerable.Range(1, 25).Select(port => $"\n  - number: {port}\n    protocol: TCP"));
        Write("a.yaml", $"{OfHosts("other.example.com")}\n---\n{PolicyText.For(addresses, "time: 60s")}\n  ports:{ports}\n");
        Assert.Null(Settled(source)!.Snapshot);
        Assert.Null(Look(source));
        _names["db.example.com"] = [s_second];
        _clock.Advance(TimeSpan.FromSeconds(30));
        Assert.Equal(["203.0.113.1", "203.0.113.2"], RulesOf(Change(source)));
    }

    [Fact]
    public void Cluster_ObjectsWithNamesOfFiles_AreOverriddenByTheFiles()
    {
        var cluster = new FixedCluster();
        cluster.Have(PolicyText.For("10.0.0.1", "time: 60s"));
        var source = Source(cluster);
        Assert.Equal(["10.0.0.1"], RulesOf(source.Load(default)));
        Write("a.yaml", PolicyText.For("10.0.0.2", "time: 60s"));
        Assert.Equal(["10.0.0.2"], RulesOf(Settled(source)));
        File.Delete(Path.Combine(_directory.FullName, "a.yaml"));
        Assert.Equal(["10.0.0.1"], RulesOf(Settled(source)));
    }

    [Fact]
    public void Cluster_Objects_ApplyImmediatelyAndEndpointsWithAPass()
    {
        var cluster = new FixedCluster();
        cluster.Have(PolicyText.For("10.0.0.1", "time: 60s"));
        var source = Source(cluster);
        Assert.NotNull(source.Load(default).Snapshot);
        cluster.Have(PolicyText.For("10.0.0.2", "time: 60s"));
        cluster.EndpointsVersion++;
        Assert.Null(Look(source));
        Assert.Equal(["10.0.0.2"], RulesOf(source.Refresh(force: false, isPassDue: true, default)));
        cluster.Have(PolicyText.For("10.0.0.3", "time: 60s"));
        cluster.Version++;
        Assert.Equal(["10.0.0.3"], RulesOf(Look(source)));
        // Only the version differs.
        cluster.Version++;
        Assert.Null(Look(source));
    }

    [Fact]
    public void Cluster_NotReadYet_ReportsNothingMissingAndIsIncomplete()
    {
        var cluster = new FixedCluster { IsComplete = false };
        cluster.Have(OfHosts("nowhere.example.com"));
        var source = Source(cluster);
        var load = source.Load(default);
        Assert.False(load.Snapshot!.IsComplete);
        Assert.Empty(load.Diagnostics);
        Assert.Empty(cluster.Reported);
        cluster.IsComplete = true;
        cluster.Version++;
        var complete = Look(source)!;
        Assert.True(complete.Snapshot!.IsComplete);
        Assert.Contains(complete.Diagnostics, diagnostic => diagnostic.Code == DiagnosticCatalog.HostUnresolved.Code);
        Assert.Equal(complete.Diagnostics, cluster.Reported);
    }

    /// <summary>A host of a new object is not reported as unknown before its first look-up.</summary>
    [Fact]
    public void Cluster_ObjectWithANewHost_IsJudgedOnceItWasLookedUp()
    {
        var cluster = new FixedCluster();
        var source = Source(cluster);
        Assert.NotNull(source.Load(default).Snapshot);
        cluster.Have(OfHosts("nowhere.example.com"));
        cluster.Version++;
        Assert.Null(Look(source));
        Assert.Contains(Change(source).Diagnostics, diagnostic => diagnostic.Code == DiagnosticCatalog.HostUnresolved.Code);
    }

    public void Dispose() => _directory.Delete(recursive: true);

    private PolicySource Source(FixedCluster? cluster = null)
    {
        _cluster = cluster;
        var resolver = new HostResolver((host, _) => _names.TryGetValue(host, out var addresses)
            ? Task.FromResult(addresses)
            : throw new SocketException((int)SocketError.HostNotFound));
        return new PolicySource(
            new PolicyOptions { Paths = [_directory.FullName], Side = Side.Client, Existing = ExistingMode.Tighten }, resolver, _cluster, _clock);
    }

    private static PolicyLoad? Look(PolicySource source) => source.Refresh(force: false, isPassDue: false, default);

    /// <summary>The result for files that were written just now, once they have stayed unchanged.</summary>
    private PolicyLoad? Settled(PolicySource source)
    {
        Assert.Null(Look(source));
        _clock.Advance(TimeSpan.FromSeconds(1));
        return Look(source);
    }

    /// <summary>The next change, by a look-up in the background.</summary>
    private static PolicyLoad Change(PolicySource source) => Eventually.Value(() => Look(source), load => load is not null, s_soon).Value!;

    private static IEnumerable<string> RulesOf(PolicyLoad? load) => load!.Snapshot!.Policy.Rules.Select(rule => rule.Prefix.ToString()).Order();

    private void Write(string name, string text) => File.WriteAllText(Path.Combine(_directory.FullName, name), text);

    private static string OfHosts(string host) => $$"""
        apiVersion: resilience.policy.gloo.solo.io/v2
        kind: ConnectionPolicy
        metadata: { name: of-{{host}}, namespace: shop }
        spec:
          applyToDestinations:
          - { kind: EXTERNAL_SERVICE, selector: { name: {{host}} } }
          config: { tcp: { tcpKeepalive: { time: 60s } } }
        ---
        apiVersion: networking.gloo.solo.io/v2
        kind: ExternalService
        metadata: { name: {{host}}, namespace: shop }
        spec: { hosts: [{{host}}] }
        """;

    /// <summary>A cluster whose objects do not change by themselves.</summary>
    private sealed class FixedCluster : IClusterPolicies
    {
        private ReadResult _read = PolicyReader.ReadText("apiVersion: v1\nkind: List\nitems: []\n", "kubernetes");

        public long Version { get; set; } = 1;

        public long EndpointsVersion { get; set; } = 1;

        public bool IsComplete { get; set; } = true;

        public IReadOnlyList<Diagnostic> Reported { get; private set; } = [];

        public void Have(string text) => _read = PolicyReader.ReadText(text, "kubernetes");

        public void WaitUntilKnown(long until, CancellationToken stop)
        {
        }

        public ClusterView View() => new(_read.Resources, [], 0, IsComplete);

        public void WantSlices(IReadOnlySet<(string Namespace, string Name)> services)
        {
        }

        public void Report(IEnumerable<Diagnostic> diagnostics) => Reported = [.. diagnostics];

        public void Report(IReadOnlyList<BrokenFile> files)
        {
        }
    }
}
