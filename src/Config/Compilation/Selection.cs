using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>The ports of one destination that one policy selects.</summary>
/// <param name="Policy">The policy.</param>
/// <param name="Destination">The destination.</param>
/// <param name="Ports">Its ports; empty when it has none, which is any port.</param>
internal sealed record Selection(RankedPolicy Policy, Destination Destination, ImmutableArray<DestinationPort> Ports);

/// <summary>Finds out what policies select, and says so when it is nothing.</summary>
internal sealed class Selector(ResourceSet resources, CompilationBudget budget, DiagnosticBag diagnostics)
{
    private readonly List<Destination> destinations = [.. resources.All.OfType<Destination>()];

    /// <summary>What one policy selects among the valid destinations, in document order.</summary>
    public IReadOnlyList<Selection> Select(RankedPolicy policy)
    {
        var references = policy.Policy.ApplyToDestinations;
        if (references.IsEmpty)
        {
            if (destinations.Count == 0)
            {
                Report(DiagnosticCatalog.SelectsNothing, policy, policy.Policy.Position,
                    "selects every destination, but there is none", "add a VirtualDestination or an ExternalService to the input");
            }

            return [.. destinations.Where(static destination => destination.IsValid)
                .Select(destination => new Selection(policy, destination, destination.Ports))];
        }

        var ports = new Dictionary<Destination, HashSet<DestinationPort>>(ReferenceEqualityComparer.Instance);
        for (var i = 0; i < references.Length && !budget.IsExhausted; i++)
        {
            Select(policy, references[i], $"spec.applyToDestinations[{i}]", ports);
        }

        return
        [
            .. destinations.Where(destination => destination.IsValid && ports.ContainsKey(destination))
                .Select(destination => new Selection(policy, destination, [.. destination.Ports.Where(ports[destination].Contains)])),
        ];
    }

    private void Select(
        RankedPolicy policy, DestinationReference reference, string field, Dictionary<Destination, HashSet<DestinationPort>> ports)
    {
        var matched = 0;
        var withPort = 0;
        foreach (var destination in destinations)
        {
            budget.AddComparison();
            if (destination.DestinationKind != reference.Kind || !reference.Selector.Matches(destination.Metadata))
            {
                continue;
            }

            matched++;
            var selected = reference.Port is null
                ? destination.Ports
                : destination.Ports.Where(port => reference.Port.Matches(port.Number.Value, port.Name?.Value)).ToImmutableArray();
            if (reference.Port is not null && selected.IsEmpty)
            {
                // One with errors may well have the port: they are what needs mending first.
                withPort += destination.IsValid ? 0 : 1;
                continue;
            }

            withPort++;
            if (!ports.TryGetValue(destination, out var all))
            {
                ports.Add(destination, all = new HashSet<DestinationPort>(ReferenceEqualityComparer.Instance));
            }

            all.UnionWith(selected);
        }

        if (matched == 0)
        {
            ReportNothing(policy, reference, field);
        }
        else if (withPort == 0)
        {
            Report(DiagnosticCatalog.NoSuchPort, policy, reference.Port!.Position,
                matched == 1 ? $"{field}.port selects {reference.Port}, which the destination it matches does not have"
                    : $"{field}.port selects {reference.Port}, which none of the {matched} destinations it matches has",
                "name one of the destination's ports by its number or name, or leave the port out");
        }
    }

    private void ReportNothing(RankedPolicy policy, DestinationReference reference, string field)
    {
        if (reference.Kind == DestinationKind.Service)
        {
            Report(DiagnosticCatalog.SelectsNothing, policy, reference.Position,
                $"{field} selects Kubernetes Services, and none is in the input",
                "for another kind, write \"kind: VIRTUAL_DESTINATION\" or \"kind: EXTERNAL_SERVICE\"");
            return;
        }

        var kind = reference.Kind == DestinationKind.VirtualDestination ? VirtualDestination.KindName : ExternalService.KindName;
        var count = destinations.Count(destination => destination.DestinationKind == reference.Kind);
        Report(DiagnosticCatalog.SelectsNothing, policy, reference.Position,
            count switch
            {
                0 => $"{field} selects {kind}s, and none is in the input",
                1 => $"{field} does not match the only {kind} in the input",
                _ => $"{field} matches none of the {count} {kind}s in the input",
            },
            count == 0 ? $"add the {kind} to the input" : "compare its selector with their metadata: name, namespace and labels");
    }

    private void Report(DiagnosticKind kind, RankedPolicy policy, SourcePosition position, string message, string fix) =>
        diagnostics.Report(kind, position, $"{ConnectionPolicy.KindName} {policy.Name}: {message}", fix);
}
