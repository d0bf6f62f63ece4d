using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Keepalive.Config.Resources;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Config.Tests;

/// <summary>Changes of policies, and of what they select destinations by: the result is that of a compilation from nothing, and only what a change touches
/// is decided again.</summary>
[Collection(nameof(TimedTests))]
public sealed class IncrementalPolicyTests(ITestOutputHelper output)
{
    private const string Older = "2026-01-01T00:00:00Z";
    private const string Newer = "2026-02-01T00:00:00Z";

    private static readonly string[] s_kinds = ["SERVICE", "VIRTUAL_DESTINATION", "EXTERNAL_SERVICE"];

    /// <summary>What can happen to the objects of a cluster.</summary>
    private static readonly (string Name, Action<Random, List<Resource>, List<Resource>> Apply)[] s_changes =
    [
        ("another label", static (random, all, _) => Change<Destination>(random, all, one => one with
        {
            Metadata = one.Metadata with { Labels = one.Metadata.Labels.SetItem(random.Next(2) == 0 ? "team" : "app", Label(random)) },
        })),
        ("a label less", static (random, all, _) => Change<Destination>(random, all, one => one with { Metadata = one.Metadata with { Labels = one.Metadata.Labels.Remove("team") } })),
        ("another namespace", static (random, all, _) => Change<Destination>(random, all, one => one with { Metadata = one.Metadata with { Namespace = $"n{random.Next(3)}" } })),
        ("other ports", static (random, all, _) => Change<Destination>(random, all, one => one with
        {
            Ports = one.Ports.IsEmpty ? one.Ports : random.Next(2) == 0 ? one.Ports[1..] : one.Ports.SetItem(0, one.Ports[0] with { Number = one.Ports[0].Number with { Value = random.Next(2) == 0 ? 80 : 81 } }),
        })),
        ("other pods", static (random, all, _) => Change<Service>(random, all, one => one with { Selector = [new("app", Label(random))] })),
        ("other Services behind", static (random, all, _) => Change<VirtualDestination>(random, all, one => one with { Services = [new ObjectSelector { Labels = [new("app", Label(random))] }] })),
        ("other ExternalServices behind", static (random, all, _) => Change<VirtualDestination>(random, all, one => one with { ExternalServices = [new ObjectSelector { Labels = [new("app", Label(random))] }] })),
        ("an address", static (random, all, _) => Change<Service>(random, all, one => one with { Addresses = [new Positioned<string>($"10.0.0.{random.Next(12)}", one.Position)] })),
        ("endpoints", static (random, all, _) => Change<EndpointSlice>(random, all, one => one with { Addresses = [new Positioned<string>($"10.0.0.{random.Next(12)}", one.Position)] })),
        ("a destination with an error", static (random, all, _) => Change<Destination>(random, all, static one => one with { IsValid = !one.IsValid })),
        ("a policy with an error", static (random, all, _) => Change<ConnectionPolicy>(random, all, static one => one with { IsValid = !one.IsValid })),
        ("other values", static (random, all, _) => Change<ConnectionPolicy>(random, all, one => one with { Tcp = Another<ConnectionPolicy>(random, all).Tcp })),
        ("no values", static (random, all, _) => Change<ConnectionPolicy>(random, all, static one => one with { Tcp = null })),
        ("another selector", static (random, all, _) => Change<ConnectionPolicy>(random, all, one => one with { ApplyToDestinations = Another<ConnectionPolicy>(random, all).ApplyToDestinations })),
        ("several references", static (random, all, _) => Change<ConnectionPolicy>(random, all, one => one with
        {
            ApplyToDestinations = [.. one.ApplyToDestinations, .. Another<ConnectionPolicy>(random, all).ApplyToDestinations],
        })),
        ("another age", static (random, all, _) => Change<Policy>(random, all, one => one with
        {
            Metadata = one.Metadata with { CreationTimestamp = random.Next(3) switch { 0 => null, 1 => Time(Older), _ => Time(Newer) } },
        })),
        ("another name", static (random, all, _) => Change<ConnectionPolicy>(random, all, one => one with
        {
            Metadata = one.Metadata with { Name = one.Metadata.Name with { Value = $"{(char)('a' + random.Next(26))}{random.Next(1000)}" } },
        })),
        ("from the API server", static (random, all, _) => Change<ConnectionPolicy>(random, all, static one => one with
        {
            Metadata = one.Metadata with { Name = one.Metadata.Name with { Position = new SourcePosition($"ConnectionPolicy {one.QualifiedName}", 0, 0) } },
        })),
        ("for certain workloads", static (random, all, _) => Change<ConnectionPolicy>(random, all, one => one with
        {
            Metadata = one.Metadata with { Annotations = one.Metadata.Annotations.SetItem(AgentAnnotations.From, new Positioned<string>("app=web", one.Position)) },
        })),
        ("a user timeout", static (random, all, _) => Change<ConnectionPolicy>(random, all, one => one with
        {
            Metadata = one.Metadata with { Annotations = one.Metadata.Annotations.SetItem(AgentAnnotations.UserTimeout, new Positioned<string>("1s", one.Position)) },
        })),
        ("other listeners", static (random, all, _) => Change<ListenerConnectionPolicy>(random, all, one => one with { ApplyToListeners = [new DestinationReference(DestinationKind.VirtualGateway, new ObjectSelector { Labels = [new("team", Label(random))] }, null, one.Position)] })),
        ("another host of a DestinationRule", static (random, all, _) => Change<DestinationRule>(random, all, one => one with { Host = one.Host with { Value = $"s{random.Next(8)}.n0.svc.cluster.local" } })),
        ("the winner goes", static (random, all, _) =>
        {
            var rules = PolicyCompiler.Compile(new ResourceSet([.. all]), new CompilerOptions()).Policy.Rules;
            var winner = rules.GroupBy(static rule => rule.Policy).MaxBy(static group => group.Count())?.Key;
            all.RemoveAll(one => one is ConnectionPolicy policy && policy.RuleName == winner);
        }),
        ("one goes", static (random, all, _) => all.RemoveAt(random.Next(all.Count))),
        ("one comes back", Restore),
        ("one comes back", Restore),
        ("one moves", static (random, all, _) =>
        {
            var i = random.Next(all.Count);
            var one = all[i];
            all.RemoveAt(i);
            all.Insert(random.Next(all.Count + 1), one);
        }),
    ];

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Compile_RandomChangesOfPoliciesAndLabels_EqualsACompilationFromNothing()
    {
        var (whole, steps) = (0, 0);
        var seen = new SortedDictionary<string, int>(StringComparer.Ordinal);
        Prop.ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), seed =>
        {
            var random = new Random(seed);
            var read = PolicyReader.ReadText(Cluster(random), "p.yaml");
            Assert.False(read.HasErrors, string.Join('\n', read.Diagnostics));
            var (wholeHere, stepsHere) = Follow(random, read.Resources.All, seen);
            (whole, steps) = (whole + wholeHere, steps + stepsHere);
        }).Check(Fuzz.Property(300));
        output.WriteLine($"{whole} of {steps} from nothing; {string.Join(", ", seen.Select(static pair => $"{pair.Key}: {pair.Value}"))}");
        Assert.True(whole < steps / 2, $"{whole} of {steps} were assigned from nothing");
        Assert.All(s_changes, change => Assert.True(seen.GetValueOrDefault(change.Name) > 0, change.Name));
    }

    [Fact]
    public void Compile_OneChangedObject_AssignsTheOthersNoMore()
    {
        ImmutableArray<Resource> all = [.. PolicyReader.ReadText(Cluster(new Random(5)), "p.yaml").Resources.All.Where(static one => one is not DestinationRule)];
        var compiler = new IncrementalCompiler();
        compiler.Compile(new ResourceSet(all), new CompilerOptions());
        foreach (var i in Enumerable.Range(0, all.Length))
        {
            Resource changed = all[i] switch
            {
                Service service => service with { Metadata = service.Metadata with { Labels = service.Metadata.Labels.SetItem("team", "other") } },
                Destination destination => destination with { Ports = destination.Ports[1..] },
                ConnectionPolicy policy => policy with { Tcp = null },
                var other => other with { IsValid = false },
            };
            foreach (var resources in new[] { all.SetItem(i, changed), all.RemoveAt(i), all })
            {
                var actual = compiler.Compile(new ResourceSet(resources), new CompilerOptions());

                Assert.Equal((1, $"{all[i]}"), (compiler.Assigned, $"{all[i]}"));
                IncrementalCompilerTests.AssertSame(PolicyCompiler.Compile(new ResourceSet(resources), new CompilerOptions()), actual);
            }
        }
    }

    [Fact]
    public void Compile_APolicyAndHundredsOfSlicesChanged_AssignsTheOthersNoMore()
    {
        List<Resource> resources = [.. PolicyReader.ReadText(IncrementalCompilerTests.Many(1_000), "many.yaml").Resources.All];
        resources.Insert(1, PolicyReader.ReadText("{apiVersion: resilience.policy.gloo.solo.io/v2, kind: ConnectionPolicy, metadata: {name: q}, spec: "
            + "{applyToDestinations: [{selector: {name: s7}}], config: {tcp: {tcpKeepalive: {time: 30s} } } } }", "q.yaml").Resources.All[0]);
        var compiler = new IncrementalCompiler();
        compiler.Compile(new ResourceSet([.. resources]), new CompilerOptions());
        for (var round = 0; round < 3; round++)
        {
            var policy = (ConnectionPolicy)resources[1];
            resources[1] = policy with { Tcp = new TcpConfig { TcpKeepalive = policy.Tcp!.TcpKeepalive! with { Time = new Positioned<string>($"3{round + 1}s", policy.Position) } } };
            for (var i = 0; i < resources.Count; i++)
            {
                resources[i] = resources[i] is EndpointSlice slice && i % 4 == round ? slice with { Addresses = slice.Addresses[..9] } : resources[i];
            }

            var set = new ResourceSet([.. resources]);
            var actual = compiler.Compile(set, new CompilerOptions());

            IncrementalCompilerTests.AssertSame(PolicyCompiler.Compile(set, new CompilerOptions()), actual);
        }

        Assert.Equal(1, compiler.Assigned);
    }

    [Fact]
    public void Find_RandomRemovalsAndAdditions_LeadFromOneSetToTheOther()
    {
        var random = new Random(3);
        ImmutableArray<Resource> pool = PolicyReader.ReadText(Cluster(random), "p.yaml").Resources.All;
        for (var round = 0; round < 500; round++)
        {
            List<Resource> before = [.. pool.Where(_ => random.Next(10) > 0)];
            List<Resource> after = [.. before];
            for (var change = random.Next(3); change >= 0; change--)
            {
                var i = random.Next(after.Count);
                after.RemoveRange(i, random.Next(2));
                after.InsertRange(i, pool.Where(one => !before.Contains(one)).Take(random.Next(2)).Select(static one => one with { }));
            }

            var changes = ResourceChange.Find(before.ToArray(), after.ToArray(), static _ => false, 8)!;

            var gone = changes.Select(static change => change.Before).OfType<Resource>().ToList();
            var come = changes.Where(static change => change.After is not null).ToDictionary(static change => change.Place, static change => change.After!);
            Assert.Equal(before.Except(after, ReferenceEqualityComparer.Instance).Count(), gone.Count);
            Assert.Equal(after.Except(before, ReferenceEqualityComparer.Instance), come.OrderBy(static pair => pair.Key).Select(static pair => pair.Value), ReferenceEqualityComparer.Instance);
            Assert.All(come, pair => Assert.Same(after[pair.Key], pair.Value));
        }
    }

    [Fact]
    public void Find_RandomObjectsThatAreLeftOut_FindsTheOthersThatChanged()
    {
        var random = new Random(4);
        ImmutableArray<Resource> pool = PolicyReader.ReadText(Cluster(random), "p.yaml").Resources.All;
        for (var round = 0; round < 500; round++)
        {
            // Far more of them come and go than changes may be found.
            List<Resource> before = [.. pool.Where(one => one is not EndpointSlice || random.Next(2) > 0)];
            List<Resource> after = [.. pool.Where(one => one is not EndpointSlice || random.Next(2) > 0).Select(one => one is EndpointSlice ? one with { } : one)];
            var i = after.FindIndex(random.Next(after.Count / 2), static one => one is Service);
            after[i] = after[i] with { IsValid = false };

            var changes = ResourceChange.Find(before.ToArray(), after.ToArray(), static one => one is EndpointSlice, 1);

            var change = Assert.Single(Assert.IsType<List<ResourceChange>>(changes));
            Assert.Equal((after[i].QualifiedName, i), (change.Before!.QualifiedName, change.Place));
            Assert.Same(after[i], change.After);
        }
    }

    /// <summary>Compiles after each of some changes, and compares at the end: whatever came later, each result must be what a compilation from nothing
    /// gives. Returns how many assignments were made from nothing, of how many.</summary>
    private static (int Whole, int Steps) Follow(Random random, ImmutableArray<Resource> pool, SortedDictionary<string, int> seen)
    {
        List<Resource> resources = [.. pool.Where(_ => random.Next(8) > 0)];
        var compiler = new IncrementalCompiler();
        List<(ResourceSet Set, CompilerOptions Options, CompilationResult Result, string Changes)> results = [];
        var options = new CompilerOptions { SelectedOnly = random.Next(2) == 0, Side = random.Next(2) == 0 ? Side.Client : Side.Both };
        var what = "";
        for (var step = 0; step < 12; step++)
        {
            var set = new ResourceSet([.. resources]);
            results.Add((set, options, compiler.Compile(set, options), what));
            what = "";
            for (var change = random.Next(4) == 0 ? 2 : 0; change >= 0 && resources.Count > 0; change--)
            {
                var (name, apply) = s_changes[random.Next(s_changes.Length)];
                apply(random, resources, [.. pool]);
                seen[name] = seen.GetValueOrDefault(name) + 1;
                what += $"{name}; ";
            }
        }

        foreach (var (set, of, actual, changes) in results)
        {
            try
            {
                IncrementalCompilerTests.AssertSame(PolicyCompiler.Compile(set, of), actual);
            }
            catch (Exception e) when (e is Xunit.Sdk.IAssertionException)
            {
                Assert.Fail($"after {changes}: {e.Message}");
            }
        }

        return (compiler.Assigned, results.Count);
    }

    private static void Change<T>(Random random, List<Resource> all, Func<T, T> change)
        where T : Resource
    {
        List<int> places = [.. Enumerable.Range(0, all.Count).Where(i => all[i] is T)];
        if (places.Count > 0)
        {
            var i = places[random.Next(places.Count)];
            all[i] = change((T)all[i]);
        }
    }

    private static T Another<T>(Random random, List<Resource> all)
    {
        List<T> known = [.. all.OfType<T>()];
        return known[random.Next(known.Count)];
    }

    private static void Restore(Random random, List<Resource> all, List<Resource> pool)
    {
        var one = pool[random.Next(pool.Count)];
        if (!all.Exists(other => (other.Kind, other.QualifiedName) == (one.Kind, one.QualifiedName)))
        {
            all.Insert(random.Next(all.Count + 1), one);
        }
    }

    private static string Label(Random random) => $"t{random.Next(4)}";

    private static DateTimeOffset Time(string text) => DateTimeOffset.Parse(text, CultureInfo.InvariantCulture);

    /// <summary>Destinations in two namespaces, with labels, that share addresses, and policies that select several of them.</summary>
    private static string Cluster(Random random)
    {
        var text = new StringBuilder();
        for (var i = 0; i < 8; i++)
        {
            var metadata = $"namespace: n{i % 2}, labels: {{app: t{random.Next(4)}, team: t{random.Next(4)}}}";
            text.Append(CultureInfo.InvariantCulture, $$$"""
                ---
                {apiVersion: v1, kind: Service, metadata: {name: s{{{i}}}, {{{metadata}}} },
                 spec: {clusterIP: 10.0.1.{{{i}}}, selector: {app: t{{{random.Next(4)}}} }, ports: [{name: http, port: 80}, {name: grpc, port: 9090}]}}
                ---
                {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s{{{i}}}-1, namespace: n{{{i % 2}}}, labels: {kubernetes.io/service-name: s{{{i}}} } },
                 endpoints: [{addresses: [10.0.0.{{{random.Next(12)}}}]}], ports: [{name: http, port: 80}, {name: grpc, port: 9090}]}
                ---
                {apiVersion: networking.gloo.solo.io/v2, kind: VirtualDestination, metadata: {name: v{{{i}}}, {{{metadata}}} },
                 spec: {hosts: [v{{{i}}}.global], services: [{labels: {app: t{{{random.Next(4)}}} } }], ports: [{number: 80, protocol: HTTP}]}}
                ---
                {apiVersion: networking.gloo.solo.io/v2, kind: ExternalService, metadata: {name: e{{{i}}}, {{{metadata}}} },
                 spec: {addresses: [10.0.0.{{{random.Next(12)}}}], ports: [{number: 80}, {number: 9090}]}}

                """);
        }

        for (var i = 0; i < 2; i++)
        {
            text.Append(CultureInfo.InvariantCulture, $$$"""
                ---
                {apiVersion: networking.gloo.solo.io/v2, kind: VirtualGateway, metadata: {name: g{{{i}}}, namespace: n{{{i}}}, labels: {team: t{{{i}}} } },
                 spec: {workloads: [{selector: {labels: {app: t{{{i}}} } } }], listeners: [{http: {}, port: {number: 80}}, {http: {}, port: {number: 9090}}]}}
                ---
                {apiVersion: resilience.policy.gloo.solo.io/v2, kind: ListenerConnectionPolicy, metadata: {name: l{{{i}}}, namespace: n{{{i}}} },
                 spec: {applyToListeners: [{}], config: {tcpKeepalive: {time: {{{50 + i}}}s} } } }

                """);
        }

        for (var i = 0; i < 9; i++)
        {
            var selector = random.Next(6) switch
            {
                0 => "{}",
                1 => $"{{namespace: n{random.Next(2)}}}",
                2 => $"{{name: s{random.Next(8)}}}",
                3 => $"{{labels: {{team: t{random.Next(4)}, app: t{random.Next(4)}}}}}",
                4 => $"{{namespace: n{random.Next(2)}, labels: {{team: t{random.Next(4)}}}}}",
                _ => $"{{labels: {{team: t{random.Next(4)}}}}}",
            };
            var port = random.Next(3) == 0 ? ", port: {number: 80}" : "";
            var age = random.Next(3) switch { 0 => "", 1 => $", creationTimestamp: \"{Older}\"", _ => $", creationTimestamp: \"{Newer}\"" };
            var references = random.Next(8) == 0 ? "" : $"applyToDestinations: [{{kind: {s_kinds[i % 3]}, selector: {selector}{port}}}], ";
            text.Append(CultureInfo.InvariantCulture, $$$"""
                ---
                {apiVersion: resilience.policy.gloo.solo.io/v2, kind: ConnectionPolicy, metadata: {name: p{{{random.Next(100)}}}-{{{i}}}, namespace: n{{{i % 2}}}{{{age}}} },
                 spec: { {{{references}}}config: {tcp: {tcpKeepalive: {time: {{{10 * random.Next(1, 4)}}}s} } } } }

                """);
        }

        // Policies that select by hosts decide about some destinations.
        for (var i = 0; i < (random.Next(3) == 0 ? 2 : 0); i++)
        {
            text.Append(CultureInfo.InvariantCulture, $$$"""
                ---
                {apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: r{{{i}}}, namespace: n{{{i}}} },
                 spec: {host: s{{{random.Next(8)}}}.n{{{random.Next(2)}}}.svc.cluster.local, trafficPolicy: {connectionPool: {tcp: {tcpKeepalive: {time: {{{15 + i}}}s} } } } } }

                """);
        }

        return text.ToString();
    }
}
