using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Keepalive.Config.Reading;

namespace Keepalive.Agent.Tests.Deploy;

/// <summary>A rule of a definition that no schema can express.</summary>
/// <param name="Path">Of the value that it is about; <c>[]</c> for each item of a list.</param>
/// <param name="Rule">An expression of the Common Expression Language that is true for a valid value.</param>
/// <param name="Message">What is wrong with others.</param>
internal sealed record CustomResourceRule(string Path, string Rule, string Message);

/// <summary>A kind of Gloo's, as Gloo's own definition names it, with the columns of <c>kubectl get</c>.</summary>
internal sealed record CustomResource(string Kind, string Group, string Plural, string ShortName, (string Name, string Type, string Path)[] Columns, CustomResourceRule[] Rules)
{
    public string Schema => $"{Kind.ToLowerInvariant()}.json";

    public string File => $"{Plural}.yaml";
}

/// <summary>Writes the definitions in deploy/crds: the schemas of deploy/schema in the form that an API server takes, and rules for what they leave to <c>check</c>.</summary>
internal static class CustomResourceText
{
    private const string Policies = "resilience.policy.gloo.solo.io", Networking = "networking.gloo.solo.io", Keepalive = "spec.config.tcp.tcpKeepalive";

    private const string HostLabel = "[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?";
    private const string Host = $"^({HostLabel}[.])*{HostLabel}[.]?$";
    private const string NumericEnd = "(^|[.])[0-9]+[.]?$";

    /// <summary>The API server estimates what a rule may cost at most, and refuses a definition with rules on lists and texts without a limit.</summary>
    private const int MostItems = 1000, LongestDuration = 100, LongestHost = 255, LongestAddress = 64, LongestName = 253;

    private static readonly (string Name, string Type, string Path) s_age = ("Age", "date", ".metadata.creationTimestamp");

    public static IReadOnlyList<CustomResource> All { get; } =
    [
        new("ConnectionPolicy", Policies, "connectionpolicies", "cp",
            [
                ("Time", "string", $".{Keepalive}.time"), ("Interval", "string", $".{Keepalive}.interval"), ("Probes", "integer", $".{Keepalive}.probes"),
                ("Destinations", "string", ".spec.applyToDestinations"), s_age,
            ],
            [
                PortRule("spec.applyToDestinations[].port"),
                .. Seconds($"{Keepalive}.time"), .. Seconds($"{Keepalive}.interval"),
                .. Duration("spec.config.tcp.connectTimeout"), .. Duration("spec.config.tcp.maxConnectionDuration"), .. Duration("spec.config.http.idleTimeout", orZero: true),
            ]),
        new("VirtualDestination", Networking, "virtualdestinations", "vd", [("Hosts", "string", ".spec.hosts"), ("Ports", "string", ".spec.ports"), s_age],
            [
                new("spec", string.Join(" || ", new[] { "hosts", "services", "externalServices", "externalWorkloads" }.Select(NotEmpty)),
                    "has none of hosts, services, externalServices and externalWorkloads: add at least one"),
                new("spec", NotEmpty("ports"), "has no ports: add at least one"),
                HostRule("spec.hosts[]", $"self.matches('{Host}')"),
                PortRule("spec.ports[].targetPort"),
            ]),
        new("ExternalService", Networking, "externalservices", "es", [("Hosts", "string", ".spec.hosts"), ("Addresses", "string", ".spec.addresses"), s_age],
            [
                new("spec", $"!({NotEmpty("hosts")} && {NotEmpty("addresses")})", "has both hosts and addresses: keep one of the two"),
                HostRule("spec.hosts[]", $"self.matches('^([*][.])?{Host[1..]}')"),
                new("spec.addresses[]", "isIP(self) || isCIDR(self)", "is not an IP address or CIDR block, like 10.0.0.1, 198.51.100.0/24 or 2001:db8::/32"),
                PortRule("spec.ports[].targetPort"),
            ]),
        new("ExternalEndpoint", Networking, "externalendpoints", "ep", [("Address", "string", ".spec.address"), s_age],
            [
                new("spec.address", $"isIP(self) || isCIDR(self) || self.startsWith('unix:') || (self.matches('{Host}') && !self.matches('{NumericEnd}'))",
                    "is neither an IP address nor a host name"),
            ]),
    ];

    /// <summary>The file of a definition.</summary>
    public static string Of(CustomResource resource)
    {
        var text = new StringBuilder(
            $"""
            # The definition of {resource.Kind} for clusters without Gloo. Do not install it beside Gloo: Gloo's own definition has the same name and more fields,
            # and one would replace the other. Written by CustomResourceTests from deploy/schema/{resource.Schema}.

            """);
        Write(text, Definition(resource), 0);
        return text.ToString();
    }

    public static JsonObject Definition(CustomResource resource) => new()
    {
        ["apiVersion"] = "apiextensions.k8s.io/v1",
        ["kind"] = "CustomResourceDefinition",
        ["metadata"] = new JsonObject
        {
            ["name"] = $"{resource.Plural}.{resource.Group}",
            ["labels"] = new JsonObject { ["app.kubernetes.io/name"] = "keepalive-agent", ["app.kubernetes.io/part-of"] = "keepalive" },
        },
        ["spec"] = new JsonObject
        {
            ["group"] = resource.Group,
            ["names"] = new JsonObject
            {
                ["categories"] = new JsonArray("solo-io"),
                ["kind"] = resource.Kind,
                ["listKind"] = $"{resource.Kind}List",
                ["plural"] = resource.Plural,
                ["shortNames"] = new JsonArray(resource.ShortName),
                ["singular"] = resource.Kind.ToLowerInvariant(),
            },
            ["scope"] = "Namespaced",
            ["versions"] = new JsonArray(new JsonObject
            {
                ["name"] = "v2",
                ["served"] = true,
                ["storage"] = true,
                ["subresources"] = new JsonObject { ["status"] = new JsonObject() },
                ["additionalPrinterColumns"] = new JsonArray(
                    [.. resource.Columns.Select(column => new JsonObject { ["name"] = column.Name, ["type"] = column.Type, ["jsonPath"] = column.Path })]),
                ["schema"] = new JsonObject { ["openAPIV3Schema"] = Structural(resource) },
            }),
        },
    };

    private static JsonObject Structural(CustomResource resource)
    {
        var schema = JsonNode.Parse(SchemaText.All()[resource.Schema])!.AsObject();
        var properties = new JsonObject
        {
            // The API server has its own schema of these, and refuses another.
            ["apiVersion"] = new JsonObject { ["type"] = "string" },
            ["kind"] = new JsonObject { ["type"] = "string" },
            ["metadata"] = new JsonObject { ["type"] = "object" },
            ["spec"] = Convert(schema["properties"]!["spec"]!.AsObject(), "spec", resource.Rules),
            ["status"] = new JsonObject { ["type"] = "object", ["x-kubernetes-preserve-unknown-fields"] = true },
        };
        return new JsonObject { ["type"] = "object", ["required"] = new JsonArray("spec"), ["properties"] = properties };
    }

    /// <summary>A structural schema names each field's type, prunes fields that it does not name and allows none of "additionalProperties: false".</summary>
    private static JsonObject Convert(JsonObject schema, string path, CustomResourceRule[] rules)
    {
        var structural = new JsonObject();
        if (schema["type"] is null && schema["enum"] is null)
        {
            structural["x-kubernetes-preserve-unknown-fields"] = true;
            return structural;
        }

        var type = schema["type"]?.GetValue<string>() ?? "string";
        structural["type"] = type;
        foreach (var key in new[] { "required", "enum", "pattern", "minimum", "maximum" }.Where(key => schema[key] is not null))
        {
            structural[key] = schema[key]!.DeepClone();
        }

        if (schema["additionalProperties"] is JsonObject map)
        {
            structural["additionalProperties"] = Convert(map, $"{path}{{}}", rules);
        }

        if (schema["properties"] is JsonObject properties)
        {
            structural["properties"] = new JsonObject(properties.Select(property => KeyValuePair.Create(property.Key, (JsonNode?)Convert(property.Value!.AsObject(), $"{path}.{property.Key}", rules))));
        }

        if (schema["items"] is JsonObject items)
        {
            structural["maxItems"] = MostItems;
            if (path is "spec.hosts" or "spec.addresses")
            {
                // None twice.
                structural["x-kubernetes-list-type"] = "set";
            }

            structural["items"] = Convert(items, $"{path}[]", rules);
        }

        var own = rules.Where(rule => rule.Path == path).ToList();
        if (type == "string" && (own.Count > 0 || rules.Any(rule => path == $"{rule.Path}.name")))
        {
            structural["maxLength"] = schema["pattern"] is not null ? LongestDuration
                : path is "spec.hosts[]" or "spec.address" ? LongestHost
                : path is "spec.addresses[]" ? LongestAddress
                : LongestName;
        }

        if (own.Count > 0)
        {
            structural["x-kubernetes-validations"] = new JsonArray([.. own.Select(rule => new JsonObject { ["rule"] = rule.Rule, ["message"] = rule.Message })]);
        }

        return structural;
    }

    private static string NotEmpty(string field) => $"(has(self.{field}) && size(self.{field}) > 0)";

    private static CustomResourceRule PortRule(string path) =>
        new(path, "!(has(self.number) && has(self.name) && self.name != '')", "has both a number and a name: keep one of the two");

    private static CustomResourceRule HostRule(string path, string isHost) =>
        new(path, $"{isHost} && !self.matches('{NumericEnd}')", "is not a host name: use letters, digits, \"-\" and \".\"; an address belongs elsewhere");

    private static CustomResourceRule[] Duration(string path, bool orZero = false) =>
    [
        new(path, $"duration(self) >= duration('1ms'){(orZero ? " || duration(self) == duration('0s')" : "")}", "must be at least 1ms"),
        new(path, "string(duration(self)).matches('^[0-9]+([.][0-9]{1,3}0*)?s$')", "must be whole milliseconds"),
    ];

    private static CustomResourceRule[] Seconds(string path) =>
        [.. Duration(path), new(path, "duration(self) < duration('32768s')", "is more than Linux takes: write 32767s or less")];

    /// <summary>Block style, with each text that is not a plain word in quotes.</summary>
    private static void Write(StringBuilder text, JsonObject node, int indent)
    {
        foreach (var (key, value) in node)
        {
            text.Append(' ', indent).Append(key).Append(':');
            WriteValue(text, value!, indent);
        }
    }

    private static void WriteValue(StringBuilder text, JsonNode value, int indent)
    {
        switch (value)
        {
            case JsonObject { Count: > 0 } map:
                text.Append('\n');
                Write(text, map, indent + 2);
                break;
            case JsonArray array:
                text.Append('\n');
                foreach (var item in array)
                {
                    var lines = new StringBuilder();
                    if (item is JsonObject map)
                    {
                        Write(lines, map, indent + 2);
                    }
                    else
                    {
                        lines.Append(' ', indent + 2).Append(Scalar(item!)).Append('\n');
                    }
                    text.Append(' ', indent).Append("- ").Append(lines, indent + 2, lines.Length - indent - 2);
                }
                break;
            default:
                text.Append(' ').Append(Scalar(value)).Append('\n');
                break;
        }
    }

    private static string Scalar(JsonNode value) =>
        value is JsonObject ? "{}"
        : value.GetValueKind() != JsonValueKind.String ? value.ToJsonString()
        : value.GetValue<string>() is var text && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '/') && char.IsAsciiLetter(text[0]) ? text
        : $"'{text.Replace("'", "''", StringComparison.Ordinal)}'";
}
