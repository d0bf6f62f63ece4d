using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>Sums up the destinations, and warns of those no socket can ever be matched to.</summary>
internal static class DestinationReport
{
    public static ImmutableArray<DestinationSummary> Create(
        ResourceSet resources, CompilerOptions options, DestinationAddresses addresses,
        Dictionary<Destination, List<string>> policies, DiagnosticBag diagnostics)
    {
        var summaries = ImmutableArray.CreateBuilder<DestinationSummary>();
        foreach (var destination in resources.Valid<Destination>())
        {
            var count = addresses.Find(destination, destination.Ports).Select(static address => address.Prefix).Distinct().Count();
            if (count == 0)
            {
                diagnostics.Report(DiagnosticCatalog.NoAddress, destination.Position,
                    $"{destination.Kind} {destination.QualifiedName}: {Reason(destination)}, so no connection can be matched to it",
                    $"write the annotation {AgentAnnotations.Addresses}: \"ADDRESS:PORT\" with what its connections really go to");
            }
            else if (destination is ExternalService)
            {
                ReportUnresolved(destination, options, diagnostics);
            }

            summaries.Add(new DestinationSummary(destination.QualifiedName, destination.Kind, destination.Position,
                [.. policies.GetValueOrDefault(destination) ?? []], count));
        }

        return summaries.DrainToImmutable();
    }

    private static void ReportUnresolved(Destination destination, CompilerOptions options, DiagnosticBag diagnostics)
    {
        foreach (var host in destination.Hosts)
        {
            if (HostNames.Resolve(options, host.Value).Count == 0 && !Validation.HostValidator.IsWildcard(host.Value))
            {
                diagnostics.Report(DiagnosticCatalog.HostUnresolved, host.Position,
                    $"{destination.Kind} {destination.QualifiedName}: {Quoting.Quote(host.Value)} has no address",
                    "check the name, or resolve it where it is known");
            }
        }
    }

    private static string Reason(Destination destination)
    {
        var hosts = destination.Hosts.Length switch
        {
            0 => "it has no address",
            1 => $"its host {Quoting.Shorten(destination.Hosts[0].Value)} has no address",
            _ => $"none of its {destination.Hosts.Length} hosts has an address",
        };
        return destination is VirtualDestination { ExternalServices.IsEmpty: false }
            ? $"{hosts}, nor has an ExternalService behind it" : hosts;
    }
}
