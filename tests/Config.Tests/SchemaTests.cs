using System.Runtime.CompilerServices;
using System.Text.Json;
using Keepalive.Config.Reading;
using Xunit;

namespace Keepalive.Config.Tests;

/// <summary>The schemas in deploy/schema are those of the code. KEEPALIVE_UPDATE_SCHEMAS=1 writes them anew.</summary>
public sealed class SchemaTests
{
    private static string Folder([CallerFilePath] string file = "") =>
        Path.GetFullPath(Path.Combine(Path.GetDirectoryName(file)!, "../../deploy/schema"));

    [Fact]
    public void Schemas_InDeploy_AreThoseOfTheReaders()
    {
        var schemas = SchemaText.All();
        if (Environment.GetEnvironmentVariable("KEEPALIVE_UPDATE_SCHEMAS") == "1")
        {
            Directory.CreateDirectory(Folder());
            foreach (var (name, text) in schemas)
            {
                File.WriteAllText(Path.Combine(Folder(), name), text);
            }
        }

        Assert.Equal(schemas.Keys.Order(StringComparer.Ordinal), Directory.EnumerateFiles(Folder()).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal));
        Assert.All(schemas, pair => Assert.Equal(pair.Value, File.ReadAllText(Path.Combine(Folder(), pair.Key))));
    }

    [Theory]
    [MemberData(nameof(CasesWithoutErrors))]
    public void Schema_OfEachCase_AcceptsValidCases(string name)
    {
        Assert.All(Documents(TextOf(name)), document =>
        {
            if (SchemaOf(document) is { } schema)
            {
                Assert.Equal([], SchemaCheck.Problems(schema, document, ""));
            }
        });
    }

    [Theory]
    [InlineData("connectionpolicy.json", "kind: ConnectionPolicy\nspec: {config: {tcp: {tcpKeepalive: {time: 1d}}}}", "/spec/config/tcp/tcpKeepalive/time: pattern")]
    [InlineData("connectionpolicy.json", "kind: ConnectionPolicy\nspec: {config: {tcp: {tcpKeepalive: {probes: 128}}}}", "/spec/config/tcp/tcpKeepalive/probes: range")]
    [InlineData("connectionpolicy.json", "kind: ConnectionPolicy\nspec: {config: {tcp: {tcpKeepalive: {tiem: 1s}}}}", "/spec/config/tcp/tcpKeepalive/tiem: unknown")]
    [InlineData("connectionpolicy.json", "kind: ConnectionPolicy\nspec: {applyToDestinations: [{kind: SERVICES}]}", "/spec/applyToDestinations/0/kind: enum")]
    [InlineData("virtualdestination.json", "kind: VirtualDestination\nspec: {ports: [{protocol: HTTP}]}", "/spec/ports/0: number is missing")]
    public void Schema_WrongInput_IsRefused(string schema, string text, string problem)
    {
        var document = YamlToJson.Read(text)[0];
        Assert.Contains(problem, SchemaCheck.Problems(JsonDocument.Parse(SchemaText.All()[schema]).RootElement, document, ""));
    }

    public static TheoryData<string> CasesWithoutErrors() =>
    [
        .. Directory.EnumerateDirectories(CaseTests.Root()).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)
            .Where(name => PolicyReader.ReadText(TextOf(name), "x") is { HasErrors: false, Resources.All.IsEmpty: false }),
    ];

    private static string TextOf(string name) => File.ReadAllText(Path.Combine(CaseTests.Root(), name, "policy.yaml"));

    private static IEnumerable<JsonElement> Documents(string text) => YamlToJson.Read(TextCheck.Normalize(text)).SelectMany(document =>
        !document.TryGetProperty("items", out var items) ? [document]
        : items.ValueKind == JsonValueKind.Array ? items.EnumerateArray() : (IEnumerable<JsonElement>)[]);

    /// <summary>None for an object in a list of one kind, which may omit its kind.</summary>
    private static JsonElement? SchemaOf(JsonElement document) =>
        document.TryGetProperty("kind", out _) && SchemaText.All().TryGetValue($"{document.GetProperty("kind").GetString()!.ToLowerInvariant()}.json", out var text)
            && JsonDocument.Parse(text).RootElement is var schema
            && schema.GetProperty("properties").GetProperty("apiVersion").GetProperty("enum").EnumerateArray()
                .Any(version => version.GetString() == document.GetProperty("apiVersion").GetString())
                ? schema : null;
}
