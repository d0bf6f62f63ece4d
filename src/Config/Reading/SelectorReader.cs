using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads the parts several kinds share: object selectors, port selectors and port lists.</summary>
internal static class SelectorReader
{
    /// <summary>An object selector and everything in it.</summary>
    public static ObjectSelector Read(ObjectReader reader)
    {
        var selector = new ObjectSelector
        {
            Labels = ReadLabels(reader, "labels"),
            Name = NonEmpty(reader.String("name")),
            Namespace = NonEmpty(reader.String("namespace")),
            Cluster = NonEmpty(reader.String("cluster")),
            Workspace = NonEmpty(reader.String("workspace")),
            Position = reader.Position,
        };
        reader.Close();
        return selector;
    }

    /// <summary>A list of object selectors.</summary>
    public static ImmutableArray<ObjectSelector> ReadList(ObjectReader reader, string key) => [.. reader.Objects(key).Select(Read)];

    /// <summary>A map of labels.</summary>
    public static ImmutableArray<KeyValuePair<string, string>> ReadLabels(ObjectReader reader, string key) =>
        [.. reader.StringMap(key).Select(static pair => KeyValuePair.Create(pair.Key, pair.Value.Value))];

    /// <summary><c>{number: 443}</c> or <c>{name: https}</c>; null when absent or <c>{}</c>, which is every port.</summary>
    public static PortSelector? ReadPort(ObjectReader parent, string key)
    {
        if (parent.Value(key) is ScalarNode { Type: ScalarType.Integer or ScalarType.String } scalar)
        {
            var field = scalar.Type == ScalarType.Integer ? "number" : "name";
            parent.Report.Report(DiagnosticCatalog.WrongType, scalar.Position, parent.PathOf(key),
                $"must be a mapping, but {Quoting.Quote(scalar.Value)} is {scalar.Description}",
                $"write {{{field}: {Quoting.Shorten(scalar.Value)}}}");
            return null;
        }

        if (parent.Object(key) is not { } reader)
        {
            return null;
        }

        var number = reader.Integer("number", 1, 65535);
        var name = NonEmpty(reader.String("name"));
        reader.Close();
        if (number is not null && name is not null)
        {
            reader.Report.Report(DiagnosticCatalog.Conflict, reader.Position, reader.Path, "has both a number and a name",
                "keep one of the two");
            return null;
        }

        return number is null && name is null
            ? null
            : new PortSelector(number?.Value, name?.Value, number?.Position ?? name!.Value.Position);
    }

    /// <summary>The entries of a destination's <c>ports</c>; fields that only a proxy uses are known by name.</summary>
    public static ImmutableArray<DestinationPort> ReadPorts(ObjectReader spec, params ReadOnlySpan<string> proxyFields)
    {
        var ports = ImmutableArray.CreateBuilder<DestinationPort>();
        foreach (var reader in spec.Objects("ports"))
        {
            var number = reader.RequiredInteger("number", 1, 65535);
            var name = reader.String("name");
            var protocol = reader.String("protocol");
            var target = ReadPort(reader, "targetPort");
            reader.Skip(proxyFields);
            reader.Close();
            if (number is { } value)
            {
                ports.Add(new DestinationPort(value, name, protocol, target, reader.Position));
            }
        }

        return ports.DrainToImmutable();
    }

    private static Positioned<string>? NonEmpty(Positioned<string>? text) => text is { Value.Length: > 0 } ? text : null;
}
