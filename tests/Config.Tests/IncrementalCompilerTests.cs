using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Keepalive.Config.Resources;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Config.Tests;

/// <summary>A compilation that keeps what has not changed has the result of a compilation from nothing.</summary>
[Collection(nameof(TimedTests))]
public sealed class IncrementalCompilerTests(ITestOutputHelper output)
{
    private static readonly string[] s_addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.1.1", "fd00::1", "fd00::2", "db.example.com", "web.example.com"];
    private static readonly string[] s_hosts = ["db.example.com", "web.example.com", "a.example.com"];

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Compile_RandomChangesOfTheCases_EqualsACompilationFromNothing()
    {
        List<ImmutableArray<Resource>> cases =
        [
            .. Directory.EnumerateDirectories(CaseTests.Root()).Order(StringComparer.Ordinal)
                .Select(path => PolicyReader.ReadText(File.ReadAllText(Path.Combine(path, "policy.yaml")), "policy.yaml").Resources.All),
        ];
        var (kept, all) = (0, 0);
        Prop.ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), seed =>
        {
            var random = new Random(seed);
            List<Resource> pool = [.. Enumerable.Range(0, 4).SelectMany(_ => cases[random.Next(cases.Count)])];
            var (keptHere, allHere) = Follow(random, pool, pool.Count / 2);
            (kept, all) = (kept + keptHere, all + allHere);
        }).Check(Fuzz.Property(200));
        Assert.True(kept > all / 4 && kept < all, $"{kept} of {all} grants were kept");
    }

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Compile_RandomChangesOfACluster_EqualsACompilationFromNothing()
    {
        var (kept, all) = (0, 0);
        Prop.ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), seed =>
        {
            var random = new Random(seed);
            var read = PolicyReader.ReadText(Cluster(random), "cluster.yaml");
            Assert.False(read.HasErrors, string.Join('\n', read.Diagnostics));
            var (keptHere, allHere) = Follow(random, [.. read.Resources.All], read.Resources.All.Length * 3 / 4);
            (kept, all) = (kept + keptHere, all + allHere);
        }).Check(Fuzz.Property(200));
        Assert.True(kept > all / 4 && kept < all, $"{kept} of {all} grants were kept");
    }

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Compile_RandomAddressesBehindPoliciesThatCompete_AmendsTheRulesAndLeavesEarlierResults()
    {
        var (amended, all) = (0, 0);
        Prop.ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), seed =>
        {
            var random = new Random(seed);
            amended += FollowAddresses(random, steps: 12, compareEach: 1);
            all += 11;
        }).Check(Fuzz.Property(100));
        Assert.True(amended > all * 3 / 4, $"{amended} of {all} sets of rules were amended");
    }

    [Fact]
    public void Compile_ThousandsOfChangedAddresses_MakesTheRulesAnewNowAndThen()
    {
        const int steps = 1500;

        var amended = FollowAddresses(new Random(7), steps, compareEach: 50);

        output.WriteLine($"{amended} of {steps}");
        Assert.InRange(amended, steps / 2, steps - 2);
    }

    /// <summary>Compiles after each of some changes of addresses, and compares at the end: whatever came later, each result must be what a compilation from nothing
    /// gives, and have no rule for an address that another had. Returns how many times rules were amended.</summary>
    private static int FollowAddresses(Random random, int steps, int compareEach)
    {
        var read = PolicyReader.ReadText(Competing(random), "p.yaml");
        Assert.False(read.HasErrors, string.Join('\n', read.Diagnostics));
        List<Resource> resources = [.. read.Resources.All];
        var compiler = new IncrementalCompiler();
        var ends = new HashSet<(UInt128 Address, ushort Port)>();
        List<(ResourceSet Set, CompilationResult Result)> results = [];
        for (var step = 0; step < steps; step++)
        {
            var set = new ResourceSet([.. resources]);
            var result = compiler.Compile(set, new CompilerOptions());
            ends.UnionWith(result.Policy.AllRules.Select(static rule => (rule.Prefix.Address, rule.Port)));
            if (step % compareEach == 0)
            {
                results.Add((set, result));
            }

            for (var change = random.Next(3); change >= 0; change--)
            {
                var i = random.Next(resources.Count);
                resources[i] = resources[i] switch
                {
                    EndpointSlice slice => slice with { Addresses = [.. Enumerable.Range(0, random.Next(6)).Select(_ => new Positioned<string>($"10.0.0.{random.Next(16)}", slice.Position))] },
                    Service service => service with { Addresses = [new Positioned<string>($"10.0.0.{random.Next(16)}", service.Position)] },
                    ExternalService service => service with { Addresses = [new Positioned<string>($"10.0.0.{random.Next(4) * 4}/{random.Next(28, 33)}", service.Position)] },
                    var other => other,
                };
            }
        }

        foreach (var (set, actual) in results)
        {
            var expected = PolicyCompiler.Compile(set, new CompilerOptions());
            AssertSame(expected, actual);
            foreach (var (address, port) in ends)
            {
                var end = new Endpoint(address, port);
                Assert.Equal(expected.Policy.Match(Endpoint.From(IPAddress.Loopback, 1), end), actual.Policy.Match(Endpoint.From(IPAddress.Loopback, 1), end));
            }
        }

        return compiler.Amended;
    }

    /// <summary>Services and other destinations that share addresses, and policies that select several of them.</summary>
    private static string Competing(Random random)
    {
        var text = new StringBuilder();
        for (var i = 0; i < 8; i++)
        {
            text.Append(CultureInfo.InvariantCulture, $$$"""
                ---
                {apiVersion: v1, kind: Service, metadata: {name: s{{{i}}}, labels: {app: a{{{i}}}, team: t{{{i % 3}}} } },
                 spec: {clusterIP: 10.0.1.{{{i}}}, ports: [{name: http, port: 80}, {name: grpc, port: 9090}]}}
                ---
                {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s{{{i}}}-1, labels: {kubernetes.io/service-name: s{{{i}}} } },
                 endpoints: [{addresses: [10.0.0.{{{random.Next(16)}}}]}], ports: [{name: http, port: 80}, {name: grpc, port: 9090}]}
                ---
                {apiVersion: networking.gloo.solo.io/v2, kind: VirtualDestination, metadata: {name: v{{{i}}}, labels: {team: t{{{random.Next(3)}}} } },
                 spec: {hosts: [v{{{i}}}.global], services: [{labels: {app: a{{{random.Next(8)}}} } }], ports: [{number: 80, protocol: HTTP}]}}
                ---
                {apiVersion: networking.gloo.solo.io/v2, kind: ExternalService, metadata: {name: e{{{i}}}, labels: {team: t{{{random.Next(3)}}} } },
                 spec: {addresses: [10.0.0.{{{random.Next(16)}}}], ports: [{number: 80}]}}

                """);
        }

        string[] kinds = ["SERVICE", "VIRTUAL_DESTINATION", "EXTERNAL_SERVICE"];
        for (var i = 0; i < 6; i++)
        {
            var selector = random.Next(2) == 0 ? "{}" : $"{{labels: {{team: t{random.Next(3)}}}}}";
            text.Append(CultureInfo.InvariantCulture, $$$"""
                ---
                {apiVersion: resilience.policy.gloo.solo.io/v2, kind: ConnectionPolicy, metadata: {name: p{{{i}}} },
                 spec: {applyToDestinations: [{kind: {{{kinds[i % 3]}}}, selector: {{{selector}}} }], config: {tcp: {tcpKeepalive: {time: {{{10 * random.Next(1, 4)}}}s} } } } }

                """);
        }

        return text.ToString();
    }

    [Fact]
    public void Compile_OneChangedSlice_KeepsAllOtherServicesAndTheirRules()
    {
        List<Resource> resources = [.. PolicyReader.ReadText(Many(100), "many.yaml").Resources.All];
        var compiler = new IncrementalCompiler();
        var before = compiler.Compile(new ResourceSet([.. resources]), new CompilerOptions()).Policy.Rules;
        var i = resources.FindIndex(one => one is EndpointSlice { Service: "s7" });
        var slice = (EndpointSlice)resources[i];
        resources[i] = slice with { Addresses = slice.Addresses.SetItem(0, slice.Addresses[0] with { Value = "10.9.9.9" }) };

        var after = compiler.Compile(new ResourceSet([.. resources]), new CompilerOptions()).Policy.Rules;

        Assert.Equal((99, 100), compiler.Reuse);
        Assert.Equal(before.Length, after.Length);
        Assert.Equal(before.Length - 11, before.Zip(after).Count(pair => ReferenceEquals(pair.First, pair.Second)));
        Assert.Equal("10.9.9.9:8080", Assert.Single(after, rule => !before.Contains(rule)).ToString().Split(' ')[0]);
    }

    [Fact]
    public void Compile_OneChangedAddressOfAService_KeepsAllOtherServicesAndTheirRules()
    {
        List<Resource> resources = [.. PolicyReader.ReadText(Many(100), "many.yaml").Resources.All];
        var compiler = new IncrementalCompiler();
        var before = compiler.Compile(new ResourceSet([.. resources]), new CompilerOptions()).Policy.Rules;
        var i = resources.FindIndex(static one => one is Service { QualifiedName: "default/s7" });
        var service = (Service)resources[i];
        resources[i] = service with { Addresses = [service.Addresses[0] with { Value = "10.97.0.1" }] };

        var after = compiler.Compile(new ResourceSet([.. resources]), new CompilerOptions()).Policy.Rules;

        Assert.Equal((99, 100), compiler.Reuse);
        Assert.Equal(before.Length - 11, before.Zip(after).Count(pair => ReferenceEquals(pair.First, pair.Second)));
        Assert.Equal("10.97.0.1:80", Assert.Single(after, rule => !before.Contains(rule)).ToString().Split(' ')[0]);
    }

    [Fact]
    public void Compile_AnotherVersionOfADestination_LeavesWhatAnEarlierResultExplains()
    {
        const string policies = """
            {apiVersion: resilience.policy.gloo.solo.io/v2, kind: ConnectionPolicy, metadata: {name: a}, spec: {config: {tcp: {tcpKeepalive: {time: 60s}}}}}
            ---
            {apiVersion: resilience.policy.gloo.solo.io/v2, kind: ConnectionPolicy, metadata: {name: b}, spec: {config: {tcp: {tcpKeepalive: {time: 70s}}}}}
            ---
            {apiVersion: networking.gloo.solo.io/v2, kind: ExternalService, metadata: {name: db}, spec: {addresses: [10.0.0.1], ports: [{number: 5432}]}}
            """;
        List<Resource> resources = [.. PolicyReader.ReadText(policies, "p.yaml").Resources.All];
        var compiler = new IncrementalCompiler();
        var earlier = compiler.Compile(new ResourceSet([.. resources]), new CompilerOptions());
        var service = (ExternalService)resources[2];
        resources[2] = service with { Addresses = [service.Addresses[0] with { Value = "10.0.0.2" }] };

        var later = compiler.Compile(new ResourceSet([.. resources]), new CompilerOptions());

        Assert.StartsWith("10.0.0.1:5432 ", Assert.Single(earlier.Policy.Shadowed).ToString(), StringComparison.Ordinal);
        Assert.StartsWith("10.0.0.2:5432 ", Assert.Single(later.Policy.Shadowed).ToString(), StringComparison.Ordinal);
        Assert.Equal((0, 1), compiler.Reuse);
    }

    /// <summary>Regression: it was reported as it had been when it was reported last.</summary>
    [Theory]
    [InlineData("productpage-1")]
    [InlineData("productpage-v2")]
    public void Compile_ChangesBehindADestinationThatIsNotReported_AreReportedLater(string changed)
    {
        var all = PolicyReader.ReadText(File.ReadAllText(Path.Combine(CaseTests.Root(), "virtual-destination-two-services", "policy.yaml")), "policy.yaml").Resources.All
            .Where(static one => one is not Policy).ToList();
        var compiler = new IncrementalCompiler();
        Compile(all.Where(one => one.Metadata.Name.Value != changed), selectedOnly: false);
        Compile(all.Where(one => one.Metadata.Name.Value != changed), selectedOnly: true);
        Compile(all, selectedOnly: true);
        var (before, after) = (Compile(all.Where(one => one.Metadata.Name.Value != changed), selectedOnly: false), Compile(all, selectedOnly: false));
        Assert.NotEqual(before.Destinations, after.Destinations);
        Compile(all, selectedOnly: true);
        Compile(all.Where(one => one.Metadata.Name.Value != changed), selectedOnly: true);
        Compile(all.Where(one => one.Metadata.Name.Value != changed), selectedOnly: false);

        CompilationResult Compile(IEnumerable<Resource> resources, bool selectedOnly)
        {
            var (set, options) = (new ResourceSet([.. resources]), new CompilerOptions { SelectedOnly = selectedOnly });
            var actual = compiler.Compile(set, options);
            AssertSame(PolicyCompiler.Compile(set, options), actual);
            return actual;
        }
    }

    [Fact]
    public void Compile_OneChangedSliceOfFiveThousand_TakesAFractionOfAWholeCompilation()
    {
        List<Resource> resources = [.. PolicyReader.ReadText(Many(5_000), "many.yaml").Resources.All];
        var compiler = new IncrementalCompiler();
        compiler.Compile(new ResourceSet([.. resources]), new CompilerOptions());
        var (whole, one) = (TimeSpan.MaxValue, TimeSpan.MaxValue);
        for (var round = 0; round < 15; round++)
        {
            var i = resources.FindIndex(1_000 * (round % 4), static resource => resource is EndpointSlice);
            var slice = (EndpointSlice)resources[i];
            resources[i] = slice with { Addresses = slice.Addresses.SetItem(0, slice.Addresses[0] with { Value = $"10.9.9.{round}" }) };
            var set = new ResourceSet([.. resources]);
            var begun = ThreadClock.Now;
            compiler.Compile(set, new CompilerOptions());
            one = new[] { one, ThreadClock.Now - begun }.Min();
            begun = ThreadClock.Now;
            PolicyCompiler.Compile(set, new CompilerOptions());
            whole = new[] { whole, ThreadClock.Now - begun }.Min();
        }

        output.WriteLine($"all {whole.TotalMilliseconds:F1} ms, one {one.TotalMilliseconds:F1} ms");
        Assert.True(one * 3 < whole, $"all {whole.TotalMilliseconds:F1} ms, one {one.TotalMilliseconds:F1} ms");
    }

    [Fact]
    public void Compile_HundredsLeaveAnAddressThatThousandsHave_AndComeBack_CopiesTheirListOnce()
    {
        const int services = 3_000, changed = 150;
        List<Resource> resources =
        [
            .. PolicyReader.ReadText(Many(services), "many.yaml").Resources.All.Select(static one => one is EndpointSlice slice
                ? slice with { Addresses = slice.Addresses.Add(slice.Addresses[0] with { Value = "10.64.0.0" }) } : one),
        ];
        var compiler = new IncrementalCompiler();
        compiler.Compile(new ResourceSet([.. resources]), new CompilerOptions());
        List<Resource> before = [.. resources];
        for (var round = 0; round < 4; round++)
        {
            var (seen, allocated) = (0, 0L);
            for (var i = 0; i < resources.Count; i++)
            {
                if (before[i] is EndpointSlice slice && seen++ % (services / changed) == 0)
                {
                    resources[i] = round % 2 == 0 ? slice with { Addresses = slice.Addresses[..^1] } : slice;
                }
            }

            var set = new ResourceSet([.. resources]);
            allocated = GC.GetAllocatedBytesForCurrentThread();
            var actual = compiler.Compile(set, new CompilerOptions());
            allocated = GC.GetAllocatedBytesForCurrentThread() - allocated;

            output.WriteLine($"{allocated / 1e6:F1} MB, amended {compiler.Amended}");
            AssertSame(PolicyCompiler.Compile(set, new CompilerOptions()), actual);
            Assert.True(allocated < 6_000_000, $"{allocated / 1e6:F1} MB");
        }

        Assert.True(compiler.Amended > 0);
    }

    /// <summary>Compiles a set after each of some random changes in both ways. Returns how many grants were kept, of how many.</summary>
    private static (int Kept, int All) Follow(Random random, List<Resource> pool, int first)
    {
        // One object of each name, as in a cluster.
        pool = [.. pool.DistinctBy(one => (one.Kind, one.QualifiedName))];
        List<Resource> resources = [.. pool.OrderBy(_ => random.Next()).Take(first)];
        var hosts = new Dictionary<string, IReadOnlyList<IPAddress>>();
        var compiler = new IncrementalCompiler();
        var (kept, all) = (0, 0);
        for (var step = 0; step < 8; step++)
        {
            var options = new CompilerOptions
            {
                ResolvedHosts = hosts.ToDictionary(),
                HostsNotResolving = hosts.Keys.Where(_ => random.Next(4) == 0).ToHashSet(),
                SelectedOnly = random.Next(10) > 0,
                Side = random.Next(10) > 0 ? Side.Client : Side.Both,
            };
            var set = new ResourceSet([.. resources]);
            var actual = compiler.Compile(set, options);
            AssertSame(PolicyCompiler.Compile(set, options), actual);
            (kept, all) = (kept + compiler.Reuse.Kept, all + compiler.Reuse.All);
            for (var change = random.Next(3); change >= 0; change--)
            {
                Change(random, pool, resources, hosts);
            }
        }

        return (kept, all);
    }

    private static void Change(Random random, List<Resource> pool, List<Resource> resources, Dictionary<string, IReadOnlyList<IPAddress>> hosts)
    {
        var i = random.Next(Math.Max(1, resources.Count));
        switch (random.Next(6))
        {
            case 0 when resources.Count > 0:
                resources.RemoveAt(i);
                break;
            case 1:
                var added = pool[random.Next(pool.Count)];
                if (!resources.Exists(one => (one.Kind, one.QualifiedName) == (added.Kind, added.QualifiedName)))
                {
                    resources.Insert(random.Next(resources.Count + 1), added);
                }

                break;
            case 2:
                hosts[s_hosts[random.Next(s_hosts.Length)]] = [.. Enumerable.Range(0, random.Next(3)).Select(_ => IPAddress.Parse($"10.0.0.{random.Next(4)}"))];
                break;
            case 3 when resources.Count > 0:
                // Another version of the object.
                resources[i] = resources[i] switch
                {
                    Service service when random.Next(3) == 0 => service with { Ports = service.Ports.IsEmpty ? [] : service.Ports[1..] },
                    Service service when random.Next(2) == 0 => service with { Addresses = [new Positioned<string>(s_addresses[random.Next(s_addresses.Length)], service.Position)] },
                    VirtualDestination destination when random.Next(2) == 0 => destination with { Services = destination.Services.IsEmpty ? [] : destination.Services[1..] },
                    ExternalService service when random.Next(3) == 0 => WithAnnotation(service, s_addresses[random.Next(s_addresses.Length)]),
                    ExternalService service => service with { Addresses = service.Addresses.IsEmpty ? [] : service.Addresses[1..] },
                    WorkloadEntry entry => entry with { IsValid = !entry.IsValid },
                    ServiceEntry entry => entry with { Endpoints = [] },
                    var other => other with { IsValid = true },
                };
                break;
            default:
                i = resources.FindIndex(Math.Min(i, resources.Count - 1) is var at and >= 0 ? at : 0, static one => one is EndpointSlice);
                if (i >= 0 && resources[i] is EndpointSlice slice)
                {
                    slice = slice with
                    {
                        Addresses = [.. Enumerable.Range(0, random.Next(4)).Select(_ => new Positioned<string>(s_addresses[random.Next(s_addresses.Length)], slice.Position))],
                    };
                    resources[i] = random.Next(2) == 0 ? slice : slice.Compact();
                }

                break;
        }
    }

    private static ExternalService WithAnnotation(ExternalService service, string address) => service with
    {
        Metadata = service.Metadata with
        {
            Annotations = service.Metadata.Annotations.SetItem(AgentAnnotations.Addresses, new Positioned<string>($"{address}:443", service.Position)),
        },
    };

    internal static void AssertSame(CompilationResult expected, CompilationResult actual)
    {
        Assert.Equal(expected.Policy.AllRules, actual.Policy.AllRules);
        Assert.Equal(expected.Policy.Exemptions, actual.Policy.Exemptions);
        Assert.Equal(expected.Policy.ListenerRules, actual.Policy.ListenerRules);
        Assert.Equal(expected.Policy.BySource.SelectMany(static source => source.Rules), actual.Policy.BySource.SelectMany(static source => source.Rules));
        Assert.Equal(expected.Policy.Shadowed.Select(static lost => $"{lost} {lost.Rule.Origin} {lost.Reason}"), actual.Policy.Shadowed.Select(static lost => $"{lost} {lost.Rule.Origin} {lost.Reason}"));
        Assert.Equal(expected.Diagnostics, actual.Diagnostics);
        Assert.Equal(expected.Destinations.Select(Text), actual.Destinations.Select(Text));
        Assert.Equal(expected.Policies.Select(Text), actual.Policies.Select(Text));
        Assert.Equal(expected.WantedHosts.Order(), actual.WantedHosts.Order());
        Assert.Equal(expected.WantedServices.Order(), actual.WantedServices.Order());
        foreach (var rule in expected.Policy.AllRules)
        {
            var end = new Endpoint(rule.Prefix.Address, rule.Port == 0 ? (ushort)4711 : rule.Port);
            Assert.Equal(expected.Policy.Match(Endpoint.From(IPAddress.Loopback, 1), end), actual.Policy.Match(Endpoint.From(IPAddress.Loopback, 1), end));
        }
    }

    private static string Text(DestinationSummary one) => $"{one.Destination} {one.Kind} {one.Position} {one.Addresses} {string.Join(',', one.Policies)}";

    private static string Text(PolicySummary one) =>
        $"{one.Policy} {string.Join(',', one.Settings)} {one.Destinations} {one.Ports} {one.Addresses} {one.Rules} {string.Join(',', one.PortGroups.Select(static group => $"{group.Settings} {string.Join('/', group.Ports)}"))}";

    /// <summary>Services that share pods, destinations in front of them and policies of all kinds that compete.</summary>
    private static string Cluster(Random random)
    {
        var text = new StringBuilder();
        for (var i = 0; i < 6; i++)
        {
            var (ns, team, grpc) = ($"n{i % 2}", $"t{i % 3}", random.Next(2) == 0 ? 8080 : 9090);
            var where = random.Next(3) == 0 ? $"hosts: [{s_hosts[random.Next(3)]}]" : $"addresses: [10.0.{random.Next(2)}.0/24]";
            text.Append(CultureInfo.InvariantCulture, $$$"""
                ---
                {apiVersion: v1, kind: Service, metadata: {name: s{{{i}}}, namespace: {{{ns}}}, labels: {app: a{{{i}}}, team: {{{team}}} } },
                 spec: {clusterIP: 10.96.0.{{{i}}}, selector: {app: a{{{random.Next(3)}}} }, ports: [{name: http, port: 80}, {name: grpc, port: 9090}]}}
                ---
                {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s{{{i}}}-1, namespace: {{{ns}}}, labels: {kubernetes.io/service-name: s{{{random.Next(6)}}} } },
                 endpoints: [{addresses: ["{{{s_addresses[random.Next(6)]}}}", "{{{s_addresses[random.Next(8)]}}}"]}], ports: [{name: http, port: 8080}, {name: grpc, port: {{{grpc}}} }]}
                ---
                {apiVersion: networking.gloo.solo.io/v2, kind: VirtualDestination, metadata: {name: v{{{i}}}, namespace: {{{ns}}}, labels: {team: {{{team}}} } },
                 spec: {hosts: [{{{s_hosts[random.Next(3)]}}}], services: [{labels: {app: a{{{random.Next(6)}}} } }], ports: [{number: 80, protocol: HTTP}]}}
                ---
                {apiVersion: networking.gloo.solo.io/v2, kind: ExternalService, metadata: {name: e{{{i}}}, namespace: {{{ns}}}, labels: {team: {{{team}}} } },
                 spec: { {{{where}}}, ports: [{number: 8080}]}}
                ---
                {apiVersion: networking.istio.io/v1, kind: WorkloadEntry, metadata: {name: w{{{i}}}, namespace: {{{ns}}} },
                 spec: {address: "{{{s_addresses[random.Next(8)]}}}", labels: {app: a{{{random.Next(3)}}} } } }
                ---
                {apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: m{{{i}}}, namespace: {{{ns}}} },
                 spec: {hosts: [{{{s_hosts[random.Next(3)]}}}], addresses: [10.1.0.{{{i}}}], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC,
                  endpoints: [{address: 10.2.0.{{{i}}} }]}}

                """);
        }

        string[] kinds = ["SERVICE", "VIRTUAL_DESTINATION", "EXTERNAL_SERVICE"];
        for (var i = 0; i < 6; i++)
        {
            var selector = random.Next(3) switch { 0 => "{}", 1 => $"{{namespace: n{random.Next(2)}}}", _ => $"{{labels: {{team: t{random.Next(3)}}}}}" };
            var annotations = random.Next(4) == 0 ? ", annotations: {keepalive-agent/from: \"app=web\"}" : "";
            var ns = random.Next(3) == 0 ? "istio-system" : $"n{i % 2}";
            var host = random.Next(4) switch { 0 => "*", 1 => "*.example.com", 2 => s_hosts[random.Next(3)], _ => $"s{random.Next(6)}.n{random.Next(2)}.svc.cluster.local" };
            var tcp = random.Next(4) == 0 ? "maxConnections: 1" : $"tcpKeepalive: {{time: {10 * random.Next(1, 4)}s}}";
            var ofPort = random.Next(2) == 0 ? "" : ", connectionPool: {tcp: {tcpKeepalive: {time: 15s}}}";
            text.Append(CultureInfo.InvariantCulture, $$$"""
                ---
                {apiVersion: resilience.policy.gloo.solo.io/v2, kind: ConnectionPolicy, metadata: {name: p{{{i}}}, namespace: n{{{i % 2}}}{{{annotations}}} },
                 spec: {applyToDestinations: [{kind: {{{kinds[random.Next(3)]}}}, selector: {{{selector}}} }], config: {tcp: {tcpKeepalive: {time: {{{10 * random.Next(1, 4)}}}s} } } } }
                ---
                {apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: r{{{i}}}, namespace: {{{ns}}} },
                 spec: {host: "{{{host}}}", trafficPolicy: {connectionPool: {tcp: { {{{tcp}}} } }, portLevelSettings: [{port: {number: 80}{{{ofPort}}} }]} } }

                """);
        }

        if (random.Next(2) == 0)
        {
            text.Append("""
                ---
                apiVersion: v1
                kind: ConfigMap
                metadata: {name: istio, namespace: istio-system}
                data: {mesh: "tcpKeepalive: {time: 40s, interval: 5s}"}

                """);
        }

        return text.ToString();
    }

    /// <summary>Services with ten endpoints each, and a policy that selects all.</summary>
    internal static string Many(int services)
    {
        var text = new StringBuilder("{apiVersion: resilience.policy.gloo.solo.io/v2, kind: ConnectionPolicy, metadata: {name: p}, spec: {config: {tcp: {tcpKeepalive: {time: 60s}}}}}\n");
        for (var i = 0; i < services; i++)
        {
            var addresses = string.Join(", ", Enumerable.Range(0, 10).Select(k => $"10.{128 + k}.{i >> 8}.{i & 255}"));
            text.Append(CultureInfo.InvariantCulture, $$$"""
                ---
                {apiVersion: v1, kind: Service, metadata: {name: s{{{i}}} }, spec: {clusterIP: 10.96.{{{i >> 8}}}.{{{i & 255}}}, ports: [{port: 80}]}}
                ---
                {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s{{{i}}}-1, labels: {kubernetes.io/service-name: s{{{i}}} } },
                 endpoints: [{addresses: [{{{addresses}}}]}], ports: [{port: 8080}]}

                """);
        }

        return text.ToString();
    }
}
