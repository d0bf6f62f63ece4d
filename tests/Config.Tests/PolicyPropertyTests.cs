using System.Net;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Keepalive.Config.Rendering;
using Keepalive.Config.Resources;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Config.Tests;

/// <summary>Random policies and destinations, written as YAML, read and compiled. They are compared with the precedence rules as
/// documented, evaluated without a table.</summary>
[Collection(nameof(TimedTests))]
public sealed class PolicyPropertyTests
{
    private static readonly string[] s_names = ["a", "b", "c"];
    private static readonly string[] s_namespaces = ["n", "m"];

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Match_RandomPolicies_AgreesWithThePrecedenceRulesAsWritten()
    {
        var (matched, unmatched, conflicts) = (0, 0, 0);
        var test = from world in Worlds
                   from ends in Ends.ArrayOf(30)
                   select (world, ends);
        Prop.ForAll(test.ToArbitrary(), input =>
        {
            var read = PolicyReader.ReadText(input.world.ToYaml(), "x");
            Assert.False(read.HasErrors, $"{string.Join('\n', read.Diagnostics)}\n{input.world.ToYaml()}");
            var compiled = PolicyCompiler.Compile(read.Resources, new CompilerOptions());
            conflicts += compiled.Policy.Shadowed.Length;
            foreach (var end in input.ends)
            {
                var expected = input.world.Rule(end);
                var actual = compiled.Policy.Match(Endpoint.From(IPAddress.Loopback, 1), Endpoint.From(end));
                _ = expected is null ? unmatched++ : matched++;
                Assert.True((expected?.FullName, expected?.Time) == (actual?.Policy, actual?.Settings.Time),
                    $"{end}: {expected?.FullName} {expected?.Time}, but {actual}\n{input.world.ToYaml()}");
                Assert.Equal(actual, Explanation.Of(compiled.Policy, Endpoint.From(IPAddress.Loopback, 1), Endpoint.From(end)).Winner);
            }
        }).Check(Fuzz.Property(1_000));

        // Otherwise no case was compared.
        Assert.True(matched > 5_000 && unmatched > 1_000 && conflicts > 1_000, $"{matched} matched, {unmatched} not, {conflicts} conflicts");
    }

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Render_RandomPolicies_SelectsTheSameThroughItsDestinationRules()
    {
        var compared = 0;
        Prop.ForAll(Worlds.ToArbitrary(), everything =>
        {
            // A destination without a host cannot be rendered, such as the ExternalServices here.
            var world = everything with { Destinations = [.. everything.Destinations.Where(destination => destination.IsService)] };
            var read = PolicyReader.ReadText(world.ToYaml(), "x");
            var compiled = PolicyCompiler.Compile(read.Resources, new CompilerOptions());
            var (text, _) = DestinationRuleText.Write(compiled);
            var rendered = text.Length == 0 ? new ReadResult(ResourceSet.Empty, []) : PolicyReader.ReadText(text, "rendered");
            Assert.False(rendered.HasErrors, string.Join('\n', rendered.Diagnostics) + text);
            var destinations = new ResourceSet([.. read.Resources.All.Where(resource => resource is not Policy)]);
            var again = PolicyCompiler.Compile(destinations.Concat(rendered.Resources), new CompilerOptions());
            Assert.Equal(Rules(compiled), Rules(again));
            compared += again.Policy.Rules.Length;
        }).Check(Fuzz.Property(500));
        Assert.True(compared > 1_000, $"only {compared} rules compared");

        static SortedSet<string> Rules(CompilationResult compiled) =>
            new(compiled.Policy.Rules.Select(rule => $"{rule.Prefix} {rule.Port} {rule.Settings}"), StringComparer.Ordinal);
    }

    // Few names of each kind, so that selectors match objects, prefixes nest and policies conflict.
    private static Gen<IPAddress> Addresses => Gen.OneOf(
        Gen.Elements<byte>(0, 1, 128).ArrayOf(2).Select(low => new IPAddress([10, 0, low[0], low[1]])),
        Gen.Elements<byte>(0, 1, 128).ArrayOf(2).Select(low => new IPAddress([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, low[0], low[1]])));

    private static Gen<IPEndPoint> Ends => from address in Addresses
                                           from mapped in Gen.Elements(false, true)
                                           from port in Gen.Elements(80, 443, 8080)
                                           select new IPEndPoint(mapped ? address.MapToIPv6() : address, port);

    private static Gen<World> Worlds =>
        from policies in Gen.Choose(1, 5).SelectMany(count => PolicyGen.ArrayOf(count))
        from destinations in Gen.Choose(1, 6).SelectMany(count => DestinationGen.ArrayOf(count))
        select new World(
            [.. policies.DistinctBy(policy => policy.FullName)], [.. destinations.DistinctBy(one => (one.IsService, one.Namespace, one.Name))]);

    private static Gen<TestPolicy> PolicyGen =>
        from name in Gen.Elements(s_names)
        from ns in Gen.Elements(s_namespaces)
        from age in Gen.Elements<int?>(null, null, 1, 2)
        from time in Gen.Elements<int?>(null, 10, 20, 30)
        from enforces in Gen.Elements(true, true, true, false)
        from count in Gen.Choose(0, 2)
        from references in ReferenceGen.ArrayOf(count)
        select new TestPolicy(ns, name, age, enforces, time, references);

    private static Gen<TestReference> ReferenceGen =>
        from isService in Gen.Elements(true, false)
        from name in Gen.Elements([null, null, .. s_names])
        from ns in Gen.Elements([null, null, .. s_namespaces])
        from label in Gen.Elements(null, null, "1", "2")
        from port in Gen.Elements(null, null, "80", "443", "web")
        select new TestReference(isService, name, ns, label, port);

    private static Gen<TestDestination> DestinationGen =>
        from isService in Gen.Elements(true, false)
        from name in Gen.Elements(s_names)
        from ns in Gen.Elements(s_namespaces)
        from label in Gen.Elements("1", "2")
        from addressCount in Gen.Choose(1, 3)
        from addresses in (from address in Addresses from bits in Gen.Elements(0, 0, 7, 9, 32) select (address, bits)).ArrayOf(addressCount)
        from ports in Gen.SubListOf(80, 443, 8080)
        from named in Gen.Elements(80, 443, 8080)
        select new TestDestination(isService, ns, name, label,
            [.. addresses.Select(pair => Block(pair.address, isService ? 0 : pair.bits)).Distinct()], [.. ports], named);

    private static string Block(IPAddress address, int wildBits)
    {
        var bytes = address.GetAddressBytes();
        var length = Math.Max(0, (bytes.Length * 8) - wildBits);
        for (var bit = length; bit < bytes.Length * 8; bit++)
        {
            bytes[bit / 8] &= (byte)~(128 >> (bit % 8));
        }

        return $"{new IPAddress(bytes)}/{length}";
    }

    private sealed record TestReference(bool IsService, string? Name, string? Namespace, string? Label, string? Port)
    {
        public bool Selects(TestDestination to, int? port) =>
            IsService == to.IsService && (Name ?? to.Name) == to.Name && (Namespace ?? to.Namespace) == to.Namespace && (Label ?? to.Label) == to.Label
            && Port switch { null => true, "web" => port is not null && port == to.Named, var number => port == int.Parse(number) };
    }

    private sealed record TestPolicy(string Namespace, string Name, int? Age, bool Enforces, int? Time, TestReference[] References)
    {
        public string FullName => $"{Namespace}/{Name}";

        public bool Selects(TestDestination to, int? port) => References.Length == 0 || References.Any(reference => reference.Selects(to, port));
    }

    private sealed record TestDestination(bool IsService, string Namespace, string Name, string Label, string[] Blocks, int[] Ports, int Named);

    private sealed record World(TestPolicy[] Policies, TestDestination[] Destinations)
    {
        /// <summary>Exact port before any port, the longer prefix, then the shortest time among the owners of the destinations there. An
        /// owner is the oldest policy that selects the destination's port. Policies without an age follow in the order of the
        /// file.</summary>
        public TestPolicy? Rule(IPEndPoint end)
        {
            var address = end.Address.IsIPv4MappedToIPv6 ? end.Address.MapToIPv4() : end.Address;
            var ranked = Policies.Select((policy, i) => (policy, i))
                .OrderBy(pair => pair.policy.Age is null).ThenBy(pair => pair.policy.Age).ThenBy(pair => pair.policy.Age is null ? $"{pair.i:000}" : pair.policy.FullName, StringComparer.Ordinal)
                .Select(pair => pair.policy).Where(policy => policy.Enforces).ToList();
            var candidates = new List<(bool Exact, int Length, TestPolicy Owner)>();
            foreach (var destination in Destinations)
            {
                foreach (int? port in destination.Ports.Length == 0 ? [null] : destination.Ports.Select(port => (int?)port))
                {
                    if ((port is null || port == end.Port) && ranked.Find(policy => policy.Selects(destination, port)) is { } owner)
                    {
                        candidates.AddRange(destination.Blocks.Select(IPNetwork.Parse).Where(block => block.Contains(address))
                            .Select(block => (port is not null, block.PrefixLength, owner)));
                    }
                }
            }

            return candidates.OrderByDescending(one => one.Exact).ThenByDescending(one => one.Length)
                .ThenBy(one => one.Owner.Time ?? int.MaxValue).ThenBy(one => ranked.IndexOf(one.Owner)).Select(one => one.Owner).FirstOrDefault();
        }

        public string ToYaml()
        {
            var text = new StringBuilder();
            foreach (var policy in Policies)
            {
                text.Append("---\napiVersion: resilience.policy.gloo.solo.io/v2\nkind: ConnectionPolicy\nmetadata: {name: ").Append(policy.Name)
                    .Append(", namespace: ").Append(policy.Namespace)
                    .Append(policy.Age is { } age ? $", creationTimestamp: 2024-05-0{age}T00:00:00Z" : "").Append("}\nspec:\n  applyToDestinations: [")
                    .AppendJoin(", ", policy.References.Select(Write)).Append("]\n  config: {tcp: {")
                    .Append(policy.Enforces ? $"tcpKeepalive: {{{(policy.Time is { } time ? $"time: {time}s" : "")}}}" : "maxConnections: 1").Append("}}\n");
            }

            foreach (var to in Destinations)
            {
                var (version, kind) = to.IsService ? ("v1", "Service") : ("networking.gloo.solo.io/v2", "ExternalService");
                text.Append($"---\napiVersion: {version}\nkind: {kind}\nmetadata: {{name: {to.Name}, namespace: {to.Namespace}, labels: {{tier: \"{to.Label}\"}}}}\nspec:\n")
                    .Append(to.IsService ? "  clusterIPs: [" : "  addresses: [").AppendJoin(", ", to.Blocks.Select(block => $"\"{block}\"")).Append("]\n  ports: [")
                    .AppendJoin(", ", to.Ports.Select(port => $"{{{(to.IsService ? "port" : "number")}: {port}{(port == to.Named ? ", name: web" : "")}}}")).Append("]\n");
            }

            return text.ToString();
        }

        private static string Write(TestReference reference)
        {
            var selector = new[]
            {
                reference.Name is { } name ? $"name: {name}" : null, reference.Namespace is { } ns ? $"namespace: {ns}" : null,
                reference.Label is { } label ? $"labels: {{tier: \"{label}\"}}" : null,
            }.OfType<string>();
            var port = reference.Port switch { null => "", "web" => ", port: {name: web}", var number => $", port: {{number: {number}}}" };
            return $"{{{(reference.IsService ? "" : "kind: EXTERNAL_SERVICE, ")}selector: {{{string.Join(", ", selector)}}}{port}}}";
        }
    }
}
