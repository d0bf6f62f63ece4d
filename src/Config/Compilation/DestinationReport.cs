using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>Sums up a destination, and warns if no socket can ever be matched to it.</summary>
internal sealed class DestinationReport(CompilerOptions options, HostAddresses hosts, DestinationAddresses addresses)
{
    private const string Lookup = $"check the name and the name server, or write the addresses into the annotation {AgentAnnotations.Addresses}";

    private readonly List<Diagnostic> _found = [];

    /// <summary>Returns the problems of a destination.</summary>
    /// <param name="destination">The destination.</param>
    /// <param name="found">What was found behind all of its ports.</param>
    public Diagnostic[] Of(Destination destination, Answers found)
    {
        _found.Clear();
        ReportMissing(destination);
        if (found.Prefixes == 0 && destination is ExternalService && LookedUp(found) is [var first, ..] names)
        {
            Report(DiagnosticCatalog.HostUnresolved, PositionOf(destination, first), destination,
                $"{NotFound(names)}; no connection matches it", Lookup);
        }
        else if (found.Prefixes == 0)
        {
            Report(DiagnosticCatalog.NoAddress, destination.Position, destination,
                $"{Reason(destination)}; no connection matches it",
                $"write the annotation {AgentAnnotations.Addresses}: \"ADDRESS:PORT\" with the addresses that its connections really go to");
        }
        else
        {
            ReportUnresolved(destination, found);
        }

        ReportAnswers(destination, found);
        return [.. _found];
    }

    /// <summary>Objects that would tell addresses and are not in the input.</summary>
    private void ReportMissing(Destination destination)
    {
        const string missing = "selects objects that are not in the input; their addresses are unknown";
        switch (destination)
        {
            case VirtualDestination { Services.IsEmpty: false } virtualDestination:
                var services = addresses.ServicesOf(virtualDestination).Take(3).ToList();
                if (services.Count == 0)
                {
                    Report(DiagnosticCatalog.UnknownAddresses, virtualDestination.Services[0].Position, destination, $"spec.services {missing}");
                }
                else if (services.Count > 1 && services.Select(static service => service.Metadata.Cluster).Distinct().Count() < services.Count)
                {
                    Report(DiagnosticCatalog.SeveralServices, virtualDestination.Services[0].Position, destination,
                        $"spec.services selects {services[0].QualifiedName}, {services[1].QualifiedName}{(services.Count > 2 ? ", …" : "")}; the mesh takes "
                        + "the oldest of each cluster, the agent uses all");
                }

                break;
            case ExternalService { Selector.IsEmpty: false } service when !addresses.EndpointsOf(service).Any():
                Report(DiagnosticCatalog.UnknownAddresses, service.Position, destination, $"spec.selector {missing}");
                break;
            default:
                break;
        }

        if (destination is ExternalService external)
        {
            foreach (var target in external.Ports.Select(static port => port.Target).Where(static target => target?.Name is not null))
            {
                if (!addresses.EndpointsOf(external).Any(endpoint => endpoint.Ports.Any(port => port.Name == target!.Name)))
                {
                    Report(DiagnosticCatalog.UnknownAddresses, target!.Position, destination,
                        $"spec.ports has a targetPort by name, {target}, which no ExternalEndpoint in the input has; the port's own number is used");
                }
            }
        }

        if (destination is VirtualDestination { ExternalWorkloads.IsEmpty: false } workloads)
        {
            Report(DiagnosticCatalog.UnknownAddresses, workloads.ExternalWorkloads[0].Position, destination,
                "spec.externalWorkloads is found by the WorkloadEntries of the mesh, if these are in the input");
        }
    }

    private void ReportUnresolved(Destination destination, Answers found)
    {
        foreach (var (host, _) in found.Hosts)
        {
            // The host of a VirtualDestination is known inside the mesh only, and who wrote an annotation knows of no better.
            var isOwn = destination.Hosts.Any(own => HostName.Canonical(own.Value) == host);
            if (hosts.Of(host).Count == 0 && !HostName.IsWildcard(host)
                && !(isOwn && (destination is VirtualDestination || destination.Metadata.Annotations.ContainsKey(AgentAnnotations.Addresses))))
            {
                Report(DiagnosticCatalog.HostUnresolved, PositionOf(destination, host), destination, NotFound([host]), Lookup);
            }
        }
    }

    /// <summary>The names that were looked up.</summary>
    private static List<string> LookedUp(Answers found) =>
        [.. found.Hosts.Select(static asked => asked.Host).Where(static host => !HostName.IsWildcard(host))];

    private static string NotFound(List<string> names) =>
        $"this machine's resolver finds no address of {(names.Count == 1 ? Quoting.Quote(names[0]) : $"any of its {names.Count} hosts, like {Quoting.Quote(names[0])}")}";

    private void ReportAnswers(Destination destination, Answers found)
    {
        foreach (var (host, _) in found.Hosts)
        {
            if (options.HostsNotResolving.Contains(host))
            {
                Report(DiagnosticCatalog.LastAnswer, PositionOf(destination, host), destination,
                    $"{Quoting.Quote(host)} does not resolve now; its previous addresses are kept", "check the name server");
            }

            if (options.HostsCut.Contains(host))
            {
                Report(DiagnosticCatalog.TooManyAddresses, PositionOf(destination, host), destination,
                    $"{Quoting.Quote(host)} has more addresses than {hosts.Of(host).Count}; the others are ignored",
                    $"write them as CIDR blocks in the annotation {AgentAnnotations.Addresses}");
            }
        }
    }

    /// <summary>Where the destination has the host; the destination itself where another object does.</summary>
    private static SourcePosition PositionOf(Destination destination, string host)
    {
        foreach (var own in destination.Hosts)
        {
            if (HostName.Canonical(own.Value) == host)
            {
                return own.Position;
            }
        }

        return destination.Position;
    }

    private string Reason(Destination destination)
    {
        var ofHosts = destination.Hosts.Length switch
        {
            0 => "it has no address",
            1 => $"its host {Quoting.Shorten(destination.Hosts[0].Value)} has no address",
            _ => $"none of its {destination.Hosts.Length} hosts has an address",
        };
        return destination switch
        {
            VirtualDestination { Services.IsEmpty: false } both when addresses.ServicesOf(both).Any() => $"{ofHosts}, nor has a Service behind it",
            VirtualDestination { ExternalServices.IsEmpty: false } => $"{ofHosts}, nor has an ExternalService behind it",
            Service { Ports.IsEmpty: true, HasOtherProtocols: true } => "it has no TCP port",
            Service => "it has no cluster IP, and no EndpointSlice of it is in the input",
            Gateway => "no Service with the label " + Gateway.NameLabel + " or " + Gateway.OwnerLabel + " is in the input, with its EndpointSlices",
            VirtualGateway gateway when !addresses.ServicesBefore(gateway).Any() =>
                "no Service that selects its workloads is in the input, with its EndpointSlices",
            VirtualGateway => "no EndpointSlice of the Services before its workloads has one of its ports",
            _ => ofHosts,
        };
    }

    private void Report(DiagnosticKind kind, SourcePosition position, Destination destination, string message, string? fix = null) =>
        _found.Add(new Diagnostic(kind.Code, kind.Severity, position, $"{destination.Kind} {destination.QualifiedName}: {message}", fix));
}
