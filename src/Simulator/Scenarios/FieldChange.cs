using Keepalive.Config;
using Keepalive.Config.Balancers;
using Keepalive.Config.Reading;

namespace Keepalive.Simulator.Scenarios;

/// <summary>A field of a scenario that is to be something else than what is written.</summary>
/// <param name="Path">Its names from the outside in, dots between: <c>keepalive.time</c>.</param>
/// <param name="Value">The new value.</param>
internal sealed record FieldChange(string Path, string Value)
{
    /// <summary>The value as in the file. A balancer's file on a command line is relative to where the command runs.</summary>
    private string Written => Path is "balancer" or "balancer.preset" && BalancerFile.IsPath(Value) ? System.IO.Path.GetFullPath(Value) : Value;

    /// <summary>The mapping with the field changed; mappings on the way that are not there are added.</summary>
    public MappingNode ApplyTo(MappingNode root, DiagnosticBag diagnostics) => Apply(root, Path.Split('.'), diagnostics);

    private MappingNode Apply(MappingNode node, ReadOnlySpan<string> names, DiagnosticBag diagnostics)
    {
        var position = new SourcePosition($"--set {Path}", 1, 1);
        var name = names[0];
        YamlNode changed = new ScalarNode(position, Written, ScalarTypes.ResolvePlain(Value));
        if (names.Length > 1)
        {
            var inner = new MappingNode(position);
            // A service time has one distribution: another one takes its place, whether it was written as a duration or as a mapping.
            if (node.TryFind(name, out var entry) && entry.Value is not ScalarNode { Type: ScalarType.Null }
                && !(name == "serviceTime" && ScenarioReader.Distributions.Contains(names[1])))
            {
                if (entry.Value is not MappingNode mapping)
                {
                    // A balancer that is only named is the preset of one that is written out.
                    if (name != "balancer" || entry.Value is not ScalarNode preset)
                    {
                        diagnostics.Report(ScenarioDiagnostics.NoSuchField, position, $"scenario: {name} is {entry.Value.Description}, which has no {names[1]}", "name another field");
                        return node;
                    }
                    mapping = new MappingNode(preset.Position);
                    mapping.Add(new ScalarNode(preset.Position, "preset", ScalarType.String), preset);
                }
                inner = mapping;
            }
            changed = Apply(inner, names[1..], diagnostics);
        }
        var copy = new MappingNode(node.Position);
        foreach (var (key, value) in node.Entries)
        {
            copy.Add(key, key.Value == name ? changed : value);
        }
        if (!node.TryFind(name, out _))
        {
            copy.Add(new ScalarNode(position, name, ScalarType.String), changed);
        }
        return copy;
    }
}
