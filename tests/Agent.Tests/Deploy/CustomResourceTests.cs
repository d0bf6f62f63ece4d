using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Keepalive.Agent.Kubernetes;
using Keepalive.Config;
using Keepalive.Config.Reading;
using Keepalive.Config.Tests;
using Keepalive.Testbed;
using Xunit;
using Command = Keepalive.Testbed.Command;

namespace Keepalive.Agent.Tests.Deploy;

/// <summary>deploy/crds: the definitions, against objects of the tests and what <c>check</c> says of them. KEEPALIVE_UPDATE_SCHEMAS=1 writes them anew.</summary>
public sealed partial class CustomResourceTests
{
    private static readonly string s_directory = Path.Combine(Repository.Root, "deploy", "crds");

    /// <summary>
    /// Errors of <c>check</c> that a definition cannot have: docs/kubernetes.md lists them. Names are the API server's own to refuse, and neither a schema nor a rule
    /// sees annotations.
    /// </summary>
    private static readonly string[] s_cannot =
    [
        ": metadata.", ": annotation keepalive-agent/", "spec has neither hosts nor addresses",
    ];

    /// <summary>The one problem of an API server that <c>check</c> does not report: null, which only some tools write.</summary>
    [GeneratedRegex("None is not of type '")]
    private static partial Regex Stricter();

    [Fact]
    public void Files_AreThoseOfTheSchemas()
    {
        if (Environment.GetEnvironmentVariable("KEEPALIVE_UPDATE_SCHEMAS") == "1")
        {
            foreach (var resource in CustomResourceText.All)
            {
                File.WriteAllText(Path.Combine(s_directory, resource.File), CustomResourceText.Of(resource));
            }
        }

        Assert.Equal(
            CustomResourceText.All.Select(resource => resource.File).Append("kustomization.yaml").Order(StringComparer.Ordinal),
            Directory.EnumerateFiles(s_directory).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal));
        Assert.All(CustomResourceText.All, resource =>
        {
            var text = File.ReadAllText(Path.Combine(s_directory, resource.File));
            Assert.Equal(CustomResourceText.Of(resource), text);
            // Read by another reader, the file has what was meant.
            Assert.True(JsonNode.DeepEquals(CustomResourceText.Definition(resource), JsonNode.Parse(YamlToJson.Read(text).Single().GetRawText())), resource.File);
        });
    }

    /// <summary>The agent watches them under these names.</summary>
    [Fact]
    public void Names_AreThoseThatAreWatched() => Assert.All(CustomResourceText.All, resource =>
    {
        var kind = Assert.Single(new[] { WatchedKind.ConnectionPolicies, WatchedKind.VirtualDestinations, WatchedKind.ExternalServices, WatchedKind.ExternalEndpoints }, kind => kind.Plural == resource.Plural);
        Assert.Equal((kind.Group, "v2"), (resource.Group, Assert.Single(kind.Versions)));
    });

    /// <summary>The server's rules for structural schemas, from its documentation.</summary>
    [Fact]
    public void Schemas_AreStructural() => Assert.All(CustomResourceText.All, resource =>
    {
        void Check(JsonObject schema, string path)
        {
            Assert.True(schema.ContainsKey("type") || schema["x-kubernetes-preserve-unknown-fields"]?.GetValue<bool>() == true, $"{path} has no type");
            Assert.False(schema.ContainsKey("properties") && schema.ContainsKey("additionalProperties"), $"{path} has both properties and additionalProperties");
            Assert.All(schema, property => Assert.DoesNotContain(property.Key, new[] { "$ref", "definitions", "dependencies", "id", "patternProperties", "uniqueItems", "$schema", "title" }));
            foreach (var (name, inner) in schema["properties"]?.AsObject() ?? [])
            {
                Check(inner!.AsObject(), $"{path}.{name}");
            }
            foreach (var key in new[] { "items", "additionalProperties" }.Where(schema.ContainsKey))
            {
                Check(schema[key]!.AsObject(), $"{path}.{key}");
            }
            // Without limits the server's estimate of a rule's cost is too high for it to accept the definition.
            Assert.True(schema["type"]?.GetValue<string>() != "array" || schema.ContainsKey("maxItems"), $"{path} has no maxItems");
            Assert.True(!schema.ContainsKey("x-kubernetes-validations") || schema["type"]!.GetValue<string>() != "string" || schema.ContainsKey("maxLength"), $"{path} has no maxLength");
        }
        var version = CustomResourceText.Definition(resource)["spec"]!["versions"]![0]!;
        Check(version["schema"]!["openAPIV3Schema"]!.AsObject(), resource.Kind);
        // Each rule is about a value that the schema has.
        Assert.Equal(resource.Rules.Length, Regex.Count(version.ToJsonString(), "\"rule\":"));
    });

    [Fact]
    public void Objects_OfTheTests_AreRefusedWhereCheckRefusesThem()
    {
        var objects = Objects().ToList();
        var found = Problems(objects.ConvertAll(one => one.Json));

        Assert.True(objects.Count > 150, $"{objects.Count} objects");
        var differences = objects.Zip(found).Select(pair => (pair.First.From, Ours: ErrorsOf(pair.First.Json), Theirs: pair.Second.Where(problem => !Stricter().IsMatch(problem)).ToList()))
            .Where(pair => pair.Ours.Count > 0 != pair.Theirs.Count > 0)
            .Select(pair => $"{pair.From}\n  check: {string.Join("\n         ", pair.Ours)}\n  definition: {string.Join("\n              ", pair.Theirs)}").ToList();
        Assert.True(differences.Count == 0, string.Join("\n\n", differences));
        // Both kinds of verdict, and both kinds of validation.
        Assert.InRange(found.Count(problems => problems.Count == 0), 100, objects.Count - 30);
    }

    /// <summary>Each rule, at its edges: a kind, a spec, and the problem; empty where there is none. A refused value has the message of the rule.</summary>
    private static readonly (string Kind, string Spec, string Problem)[] s_edges =
    [
        ("ConnectionPolicy", "config: {tcp: {tcpKeepalive: {time: 32767s, interval: 9h6m7.999s, probes: 127}}}", ""),
        ("ConnectionPolicy", "config: {tcp: {tcpKeepalive: {time: 32768s}}}", "is more than Linux takes: write 32767s or less"),
        ("ConnectionPolicy", "config: {tcp: {tcpKeepalive: {time: 1ms, interval: +1000us}}}", ""),
        ("ConnectionPolicy", "config: {tcp: {tcpKeepalive: {interval: 999us}}}", "must be at least 1ms"),
        ("ConnectionPolicy", "config: {tcp: {tcpKeepalive: {interval: 1.0005s}}}", "must be whole milliseconds"),
        ("ConnectionPolicy", "config: {tcp: {tcpKeepalive: {time: 0}}}", "is not of type 'string'"),
        ("ConnectionPolicy", "config: {tcp: {tcpKeepalive: {time: \"0\"}}}", "must be at least 1ms"),
        ("ConnectionPolicy", "config: {tcp: {tcpKeepalive: {time: -1s}}}", "does not match"),
        ("ConnectionPolicy", "config: {tcp: {tcpKeepalive: {time: 700}}}", "is not of type 'string'"),
        ("ConnectionPolicy", "config: {tcp: {tcpKeepalive: {time: 9999999999h}}}", "duration out of range"),
        ("ConnectionPolicy", "config: {tcp: {tcpKeepalive: {probes: 128}}}", "128 is greater than the maximum of 127"),
        ("ConnectionPolicy", "config: {tcp: {tcpKeepalive: {tiem: 1s}}}", "'tiem' was unexpected"),
        ("ConnectionPolicy", "config: {http: {idleTimeout: 0s}, tcp: {connectTimeout: 10s}}", ""),
        ("ConnectionPolicy", "config: {tcp: {connectTimeout: 0s}}", "must be at least 1ms"),
        ("ConnectionPolicy", "applyToDestinations: [{kind: SERVICES}]", "is not one of"),
        ("ConnectionPolicy", "applyToDestinations: [{port: {number: 80}}, {port: {name: http}}, {port: {}}]", ""),
        ("ConnectionPolicy", "applyToDestinations: [{port: {number: 80}}, {port: {number: 80, name: http}}]", "spec/applyToDestinations/1/port: has both a number and a name"),
        ("VirtualDestination", "{hosts: [ratings.global], ports: [{number: 9080}]}", ""),
        ("VirtualDestination", "{hosts: [], services: [], ports: [{number: 9080}]}", "has none of hosts, services, externalServices and externalWorkloads"),
        ("VirtualDestination", "{services: [{name: a}]}", "has no ports"),
        ("VirtualDestination", "{hosts: ['*.example.com'], ports: [{number: 1}]}", "spec/hosts/0: is not a host name"),
        ("VirtualDestination", "{hosts: [10.0.0.1], ports: [{number: 1}]}", "spec/hosts/0: is not a host name"),
        ("VirtualDestination", "{hosts: [a.b, a.b], ports: [{number: 1}]}", "has non-unique elements"),
        ("VirtualDestination", "{hosts: [a.b], ports: [{number: 1, targetPort: {number: 1, name: a}}]}", "has both a number and a name"),
        ("VirtualDestination", "{hosts: [a.b], ports: [{name: http}]}", "'number' is a required property"),
        ("ExternalService", "{addresses: [10.0.0.1, 198.51.100.0/24, '2001:db8::/32', 0.0.0.0/0], ports: [{number: 443}]}", ""),
        ("ExternalService", "{addresses: [10.0.0.1, 10.0.0.0/33]}", "spec/addresses/1: is not an IP address or CIDR block"),
        ("ExternalService", "{addresses: ['10.0.0.1:443']}", "is not an IP address or CIDR block"),
        ("ExternalService", "{hosts: ['*.example.com']}", ""),
        ("ExternalService", "{hosts: [a.b], addresses: [10.0.0.1]}", "has both hosts and addresses"),
        ("ExternalEndpoint", "{address: db.example.com}", ""),
        ("ExternalEndpoint", "{address: 'unix:///run/db'}", ""),
        ("ExternalEndpoint", "{address: 'a b'}", "is neither an IP address nor a host name"),
        ("ExternalEndpoint", "{ports: [{number: 5432}]}", "'address' is a required property"),
    ];

    /// <summary>The problems of all of them: two programs are started once.</summary>
    private static readonly Lazy<List<List<string>>> s_found = new(() => Problems([.. s_edges.Select(edge => ObjectOf(edge.Kind, edge.Spec))]));

    public static TheoryData<int, string, string, string> Edges => new(s_edges.Select((edge, index) => (index, edge.Kind, edge.Spec, edge.Problem)));

    [Theory]
    [MemberData(nameof(Edges))]
    public void Definition_AtTheEdges_SaysTheSameAsCheck(int index, string kind, string spec, string problem)
    {
        var (json, found) = (ObjectOf(kind, spec), s_found.Value[index]);

        if (problem.Length == 0)
        {
            Assert.Empty(found);
            Assert.Empty(ErrorsOf(json));
        }
        else
        {
            Assert.Contains(problem, string.Join('\n', found), StringComparison.Ordinal);
            Assert.NotEmpty(ErrorsOf(json));
        }
    }

    /// <summary>kubectl's JSONPath is the API server's.</summary>
    [Fact]
    public void Columns_OfAnObject_ShowItsValues()
    {
        var policy = Columns("ConnectionPolicy",
            "{applyToDestinations: [{kind: EXTERNAL_SERVICE, selector: {name: db}}, {selector: {name: web}}], config: {tcp: {tcpKeepalive: {time: 60s, interval: 10s, probes: 6}}}}");
        Assert.Equal(("60s", "10s", "6"), (policy["Time"], policy["Interval"], policy["Probes"]));
        Assert.Equal("""[{"kind":"EXTERNAL_SERVICE","selector":{"name":"db"}},{"selector":{"name":"web"}}]""", policy["Destinations"]);
        // A column without a value is empty, not an error.
        Assert.Equal("", Columns("ConnectionPolicy", "{config: {tcp: {tcpKeepalive: {}}}}")["Time"]);
        Assert.Equal("""["ratings.global"]""", Columns("VirtualDestination", "{hosts: [ratings.global], ports: [{number: 9080}]}")["Hosts"]);
        Assert.Equal("""["10.0.0.1","10.1.0.0/16"]""", Columns("ExternalService", "{addresses: [10.0.0.1, 10.1.0.0/16]}")["Addresses"]);
        Assert.Equal("db.example.com", Columns("ExternalEndpoint", "{address: db.example.com}")["Address"]);
    }

    private static JsonElement ObjectOf(string kind, string spec)
    {
        var resource = CustomResourceText.All.Single(one => one.Kind == kind);
        return YamlToJson.Read($"apiVersion: {resource.Group}/v2\nkind: {kind}\nmetadata: {{name: a}}\nspec: {(spec[0] == '{' ? spec : $"{{{spec}}}")}")[0];
    }

    private static Dictionary<string, string> Columns(string kind, string spec)
    {
        var resource = CustomResourceText.All.Single(one => one.Kind == kind);
        var directory = Directory.CreateTempSubdirectory("keepalive-columns");
        try
        {
            var file = Path.Combine(directory.FullName, "object.yaml");
            File.WriteAllText(file, $"apiVersion: {resource.Group}/v2\nkind: {kind}\nmetadata: {{name: a, namespace: shop}}\nspec: {spec}\n");
            // --local asks no server; the annotation is not looked at.
            return resource.Columns.ToDictionary(column => column.Name, column =>
                Command.Run(Tools.Kubectl, "annotate", "--local", "-f", file, "a=b", "-o", $"jsonpath={{{column.Path}}}").Output);
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    /// <summary>The objects of these kinds in the cases of Config.Tests, the examples and the manifests.</summary>
    private static IEnumerable<(string From, JsonElement Json)> Objects()
    {
        var files = Directory.EnumerateFiles(Path.Combine(Repository.Root, "tests", "Config.Tests", "cases"), "*.yaml", SearchOption.AllDirectories)
            .Concat(Directory.EnumerateFiles(Path.Combine(Repository.Root, "examples", "policies"), "*.yaml"))
            .Concat(Directory.EnumerateFiles(Path.Combine(Manifests.Base, "policies"), "*.yaml"))
            // The tests' reader knows no merge keys.
            .Where(path => !path.Contains("/merge-keys/", StringComparison.Ordinal)).Order(StringComparer.Ordinal);
        foreach (var file in files)
        {
            IReadOnlyList<JsonElement> documents;
            try
            {
                documents = YamlToJson.Read(File.ReadAllText(file));
            }
            catch (Exception e) when (e is YamlDotNet.Core.YamlException or ArgumentException or JsonException)
            {
                // Invalid YAML, which is no object either.
                continue;
            }
            foreach (var document in documents.SelectMany(document => document.ValueKind == JsonValueKind.Object && document.TryGetProperty("items", out var items) && items.ValueKind == JsonValueKind.Array
                ? items.EnumerateArray() : (IEnumerable<JsonElement>)[document]))
            {
                if (document.ValueKind == JsonValueKind.Object
                    && document.TryGetProperty("kind", out var kind) && document.TryGetProperty("apiVersion", out var version)
                    && CustomResourceText.All.Any(resource => resource.Kind == kind.ToString() && $"{resource.Group}/v2" == version.ToString()))
                {
                    yield return (Path.GetRelativePath(Repository.Root, file), document);
                }
            }
        }
    }

    /// <summary>The errors of <c>check</c> in an object by itself, without those that no definition can have.</summary>
    private static List<string> ErrorsOf(JsonElement json) =>
    [
        .. PolicyReader.ReadText(json.GetRawText(), "object").Diagnostics.Where(diagnostic => diagnostic.Severity == Severity.Error)
            .Select(diagnostic => diagnostic.ToString()).Where(text => !s_cannot.Any(cannot => text.Contains(cannot, StringComparison.Ordinal))),
    ];

    /// <summary>The problems that python3-jsonschema finds, else those of the rules: an API server evaluates rules only where the schema is satisfied.</summary>
    private static List<List<string>> Problems(List<JsonElement> objects)
    {
        var input = new JsonObject
        {
            ["definitions"] = new JsonArray([.. CustomResourceText.All.Select(resource => JsonNode.Parse(YamlToJson.Read(File.ReadAllText(Path.Combine(s_directory, resource.File)))[0].GetRawText()))]),
            ["objects"] = new JsonArray([.. objects.Select(one => JsonNode.Parse(one.GetRawText()))]),
        }.ToJsonString();
        var (schemas, rules) = (Validators.Schemas(input), Validators.Rules(input));
        return [.. schemas.Zip(rules, (schema, rule) => schema.Count > 0 ? schema : rule)];
    }
}
