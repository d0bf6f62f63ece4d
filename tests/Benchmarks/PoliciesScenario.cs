using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using System.Text;
using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Keepalive.Config.Resources;

namespace Keepalive.Benchmarks;

/// <summary>10,000 destinations and 200 policies: the cost of compiling them, and of one connection's match.</summary>
/// <remarks>
/// Half of the destinations are Services with their EndpointSlices, a quarter ExternalServices, a quarter VirtualDestinations that select
/// Services. Every policy selects by label. One policy in ten selects everything of a kind, so that several policies select most
/// destinations.
/// </remarks>
internal static class PoliciesScenario
{
    public const string Name = "policies";

    private const int Destinations = 10_000;
    private const int Policies = 200;
    private const int Namespaces = 100;
    private const int Lookups = 20_000_000;
    private const int Rounds = 15;
    private const int WarmUps = 2;
    private const double CompileGoal = 150;
    private const double AllocationGoal = 40;
    private const double ChangeGoal = 5;
    private const double LookupGoal = 100;

    private static readonly int[] s_parts = [16, 4, 1];

    public static void Run()
    {
        var text = Text(Destinations, Policies);
        var begun = TimeProvider.System.GetTimestamp();
        var read = PolicyReader.ReadText(text, "policies");
        var reading = TimeProvider.System.GetElapsedTime(begun);
        if (read.HasErrors)
        {
            throw new InvalidOperationException(string.Join('\n', read.Diagnostics.Where(diagnostic => diagnostic.Severity == Severity.Error).Take(5)));
        }
        Series compile = new(), compileProcessor = new(), allocated = new(), hits = new(), misses = new();
        var compiled = PolicyCompiler.Compile(read.Resources, new CompilerOptions());
        var ends = Ends(compiled.Policy);
        var own = Endpoint.From(IPAddress.Parse("10.200.0.1"), 40_000);
        long perMatch = 0;
        for (var round = -WarmUps; round < Rounds; round++)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            var ofCompile = Cost.Of(() => compiled = PolicyCompiler.Compile(read.Resources, new CompilerOptions()));
            var ofAllocation = GC.GetAllocatedBytesForCurrentThread() - before;
            var ofHits = Match(compiled.Policy, own, ends.Hits, out var matched, out var bytes);
            perMatch += bytes;
            var ofMisses = Match(compiled.Policy, own, ends.Misses, out var unmatched, out bytes);
            perMatch += bytes;
            if (matched != Lookups || unmatched != 0)
            {
                throw new InvalidOperationException($"{matched} of {Lookups} matched that should, and {unmatched} that should not");
            }
            if (round >= 0)
            {
                compile.Add(ofCompile.Wall);
                compileProcessor.Add(ofCompile.Processor);
                allocated.Add(ofAllocation / 1e6);
                hits.Add(ofHits.TotalNanoseconds / Lookups);
                misses.Add(ofMisses.TotalNanoseconds / Lookups);
            }
        }
        Report.Title($"{Name}: {Destinations:N0} destinations, {Policies} policies, {compiled.Policy.Rules.Length:N0} rules, {compiled.Policy.Shadowed.Length:N0} that lost, {Rounds} rounds");
        Report.Line("reading and validating their YAML, this once", string.Create(CultureInfo.InvariantCulture, $"{reading.TotalMilliseconds:0} ms, {text.Length / 1e6:0.0} MB"));
        Report.Line("compile", compile, "ms");
        Report.Goal("  by processor time", compileProcessor, CompileGoal, "ms");
        Report.Goal("  it allocates", allocated, AllocationGoal, "MB");
        foreach (var part in s_parts)
        {
            Changes(part);
        }
        Report.Goal($"one match by processor time, of {Lookups:N0} that have a rule", hits, LookupGoal, "ns");
        Report.Goal("  of those that have none", misses, LookupGoal, "ns");
        Report.Line("  which is", string.Create(CultureInfo.InvariantCulture, $"{1e3 / hits.Median:0.0} and {1e3 / misses.Median:0.0} million a second"));
        Report.Goal("  allocated by all of them", perMatch, 0, perMatch.ToString(CultureInfo.InvariantCulture), "bytes");
    }

    /// <summary>What changes of one object cost, for a part of the destinations and policies.</summary>
    private static void Changes(int part)
    {
        var resources = PolicyReader.ReadText(Text(Destinations / part, Math.Max(1, Policies / part)), "policies").Resources;
        Series whole = new(), allocated = new();
        for (var round = -WarmUps; round < Rounds; round++)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            var cost = Cost.Of(() => PolicyCompiler.Compile(resources, new CompilerOptions()));
            if (round >= 0)
            {
                whole.Add(cost.Processor);
                allocated.Add((GC.GetAllocatedBytesForCurrentThread() - before) / 1e6);
            }
        }
        var of = string.Create(CultureInfo.InvariantCulture, $"of {Destinations / part:N0} destinations");
        Report.Line($"all {of}, by processor time", whole, "ms");
        Report.Line("  it allocates", allocated, "MB");
        Change($"  then the endpoints of one Service {of}", resources, static (EndpointSlice slice, string address) =>
            slice with { Addresses = slice.Addresses.SetItem(0, slice.Addresses[0] with { Value = address }) });
        Change("  then the address of one Service", resources, static (Service service, string address) =>
            service with { Addresses = [service.Addresses[0] with { Value = address }] });
        Change("  then the addresses of one ExternalService", resources, static (ExternalService service, string address) =>
            service with { Addresses = service.Addresses.SetItem(0, service.Addresses[0] with { Value = address }) });
        Change("  then the labels of one Service", resources, static (Service service, string address) =>
            service with { Metadata = service.Metadata with { Labels = service.Metadata.Labels.SetItem("team", "t1").SetItem("app", address) } });
        Change("  then the ports of one Service", resources, static (Service service, string _) =>
            service with { Ports = service.Ports.SetItem(0, service.Ports[0] with { Number = service.Ports[0].Number with { Value = 81 } }) });
        Change("  then the Services behind one VirtualDestination", resources, static (VirtualDestination destination, string address) =>
            destination with { Services = [new ObjectSelector { Labels = [new("app", address)] }] });
        ComesAndGoes<Service>("  then one Service removed, or back again", resources);
        Change("  then the values of one ConnectionPolicy of a namespace", resources, static (ConnectionPolicy policy, string address) =>
            policy with { Tcp = new TcpConfig { TcpKeepalive = policy.Tcp!.TcpKeepalive! with { Time = new Positioned<string>($"10{address[^1]}s", policy.Position) } } }, IsNarrow);
        Change("  then the selector of such a one", resources, static (ConnectionPolicy policy, string address) =>
            policy with { ApplyToDestinations = [policy.ApplyToDestinations[0] with { Selector = policy.ApplyToDestinations[0].Selector with { Labels = [new("team", $"t{address[^1] - '0'}")] } }] }, IsNarrow);
        ComesAndGoes<ConnectionPolicy>("  then such a one removed, or back again", resources, IsNarrow);
    }

    /// <summary>Whether a policy selects some 50 of all Services.</summary>
    private static bool IsNarrow(ConnectionPolicy policy) =>
        policy.ApplyToDestinations[0] is { Kind: DestinationKind.Service, Selector: { Labels.IsEmpty: false, Namespace: not null } };

    /// <summary>The places of some objects; those of all of the kind if there are none such.</summary>
    private static List<int> Places<T>(ResourceSet resources, Func<T, bool>? isMeant)
        where T : Resource
    {
        List<int> all = [.. Enumerable.Range(0, resources.All.Length).Where(i => resources.All[i] is T)];
        List<int> meant = [.. all.Where(i => isMeant?.Invoke((T)resources.All[i]) != false)];
        return meant.Count > 0 ? meant : all;
    }

    private static void Change<T>(string what, ResourceSet resources, Func<T, string, T> change, Func<T, bool>? isChanged = null)
        where T : Resource
    {
        var places = Places(resources, isChanged);
        Change(what, resources, (all, round) =>
        {
            var place = places[(round * 7919) % places.Count];
            return all.SetItem(place, change((T)all[place], $"10.9.9.{round}"));
        });
    }

    /// <summary>Removes one object in each second round, and adds it again in the next.</summary>
    private static void ComesAndGoes<T>(string what, ResourceSet resources, Func<T, bool>? isChanged = null)
        where T : Resource
    {
        var places = Places(resources, isChanged);
        Change(what, resources, (all, round) => all.Length < resources.All.Length ? resources.All : all.RemoveAt(places[(round * 7919) % places.Count]));
    }

    private static void Change(string what, ResourceSet resources, Func<ImmutableArray<Resource>, int, ImmutableArray<Resource>> change)
    {
        Series series = new();
        var compiler = new IncrementalCompiler();
        compiler.Compile(resources, new CompilerOptions());
        for (var round = 0; round < WarmUps + Rounds; round++)
        {
            resources = new ResourceSet(change(resources.All, round));
            var cost = Cost.Of(() => compiler.Compile(resources, new CompilerOptions()));
            if (round >= WarmUps)
            {
                series.Add(cost.Processor);
            }
        }
        Report.Goal(what, series, ChangeGoal, "ms");
    }

    private static TimeSpan Match(CompiledPolicy policy, Endpoint own, Endpoint[] remotes, out int matched, out long allocated)
    {
        matched = 0;
        var before = GC.GetAllocatedBytesForCurrentThread();
        var begun = Environment.CpuUsage.TotalTime;
        for (var i = 0; i < Lookups; i++)
        {
            matched += policy.Match(own, remotes[i & (remotes.Length - 1)]) is null ? 0 : 1;
        }
        var took = Environment.CpuUsage.TotalTime - begun;
        allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        return took;
    }

    /// <summary>Ends of connections from all parts of the table; a power of two of each.</summary>
    private static (Endpoint[] Hits, Endpoint[] Misses) Ends(CompiledPolicy policy)
    {
        var random = new Random(11);
        var hits = new Endpoint[1 << 16];
        var misses = new Endpoint[1 << 16];
        for (var i = 0; i < hits.Length; i++)
        {
            var rule = policy.Rules[random.Next(policy.Rules.Length)];
            hits[i] = new Endpoint(rule.Prefix.Address, rule.Port == 0 ? (ushort)random.Next(1, 65536) : rule.Port);
            misses[i] = Endpoint.From(new IPAddress([172, 20, (byte)random.Next(256), (byte)random.Next(256)]), rule.Port == 0 ? (ushort)443 : rule.Port);
        }
        return (hits, misses);
    }

    private static string Text(int destinations, int policies)
    {
        var text = new StringBuilder();
        for (var i = 0; i < policies; i++)
        {
            var kind = (i % 3) switch { 0 => "SERVICE", 1 => "EXTERNAL_SERVICE", _ => "VIRTUAL_DESTINATION" };
            var selector = i % 10 == 0 ? "{}" : $"{{labels: {{team: t{i % 40}}}{(i % 4 == 0 ? $", namespace: n{i % Namespaces}" : "")}}}";
            text.Append(CultureInfo.InvariantCulture, $$$"""
                ---
                apiVersion: resilience.policy.gloo.solo.io/v2
                kind: ConnectionPolicy
                metadata: {name: p{{{i}}}, namespace: n{{{i % Namespaces}}} }
                spec:
                  applyToDestinations: [{kind: {{{kind}}}, selector: {{{selector}}} }]
                  config: {tcp: {tcpKeepalive: {time: {{{60 + i}}}s, interval: 10s, probes: 6} } }

                """);
        }
        for (var i = 0; i < destinations; i++)
        {
            var metadata = $"{{name: d{i}, namespace: n{i % Namespaces}, labels: {{app: a{i}, team: t{i % 40}}}}}";
            text.Append((i % 4) switch
            {
                0 or 1 => $$$"""
                    ---
                    apiVersion: v1
                    kind: Service
                    metadata: {{{metadata}}}
                    spec: {clusterIP: 10.96.{{{i >> 8}}}.{{{i & 255}}}, ports: [{name: http, port: 80}, {name: grpc, port: 9090}]}
                    ---
                    apiVersion: discovery.k8s.io/v1
                    kind: EndpointSlice
                    metadata: {name: d{{{i}}}-1, namespace: n{{{i % Namespaces}}}, labels: {kubernetes.io/service-name: d{{{i}}} }}
                    endpoints: [{addresses: [10.128.{{{i >> 8}}}.{{{i & 255}}}, 10.129.{{{i >> 8}}}.{{{i & 255}}}]}]
                    ports: [{name: http, port: 8080}, {name: grpc, port: 9090}]

                    """,
                2 => $$$"""
                    ---
                    apiVersion: networking.gloo.solo.io/v2
                    kind: ExternalService
                    metadata: {{{metadata}}}
                    spec: {addresses: [203.{{{i >> 8}}}.{{{i & 255}}}.0/24, "2001:db8:{{{i:x}}}::/48"], ports: [{number: 443}]}

                    """,
                _ => $$$"""
                    ---
                    apiVersion: networking.gloo.solo.io/v2
                    kind: VirtualDestination
                    metadata: {{{metadata}}}
                    spec: {hosts: [d{{{i}}}.global], services: [{labels: {app: a{{{i - 2}}} } }], ports: [{number: 80, protocol: HTTP}]}

                    """,
            });
        }
        return text.ToString();
    }
}
