using Keepalive.Config.Resources;

namespace Keepalive.Config.Validation;

/// <summary>Checks what all destinations have: hosts, ports, and the annotation that names their addresses.</summary>
internal static class DestinationValidator
{
    public static void Validate(Destination destination, ResourceReport report)
    {
        var hosts = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        for (var i = 0; i < destination.Hosts.Length; i++)
        {
            HostValidator.Validate(destination, destination.Hosts[i], $"spec.hosts[{i}]", report);
            ValidateUnique(hosts, destination.Hosts[i], $"spec.hosts[{i}]", report);
        }

        ValidateAnnotation(destination, report);
    }

    /// <summary>Checks the annotation that names addresses.</summary>
    public static void ValidateAnnotation(Resource destination, ResourceReport report)
    {
        if (destination.Metadata.Annotations.TryGetValue(AgentAnnotations.Addresses, out var addresses))
        {
            AddressValidator.ValidateList(addresses, $"annotation {AgentAnnotations.Addresses}", report);
        }
    }

    /// <summary>Reports a value that is in the set already.</summary>
    public static void ValidateUnique(HashSet<string> seen, Positioned<string> value, string field, ResourceReport report)
    {
        if (!seen.Add(value.Value))
        {
            report.Report(DiagnosticCatalog.Repeated, value.Position, field, $"is listed before: {Quoting.Quote(value.Value)}",
                "remove one of the two");
        }
    }
}
