using Keepalive.Config.Resources;

namespace Keepalive.Config.Validation;

/// <summary>Checks the values of an ExternalService.</summary>
internal static class ExternalServiceValidator
{
    public static void Validate(ExternalService service, ResourceReport report)
    {
        DestinationValidator.Validate(service, report);
        var seen = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        for (var i = 0; i < service.Addresses.Length; i++)
        {
            AddressValidator.Validate(service.Addresses[i], $"spec.addresses[{i}]", report);
            DestinationValidator.ValidateUnique(seen, service.Addresses[i], $"spec.addresses[{i}]", report);
        }

        if (!service.Hosts.IsEmpty && !service.Addresses.IsEmpty)
        {
            report.Report(DiagnosticCatalog.Conflict, service.Addresses[0].Position, "spec",
                "has both hosts and addresses", "keep one of the two");
        }
        else if (service.Hosts.IsEmpty && service.Addresses.IsEmpty && service.Selector.IsEmpty
            && !service.Metadata.Annotations.ContainsKey(AgentAnnotations.Addresses)
            && !report.IsFaulty("spec.hosts", "spec.addresses", "spec.selector"))
        {
            report.Report(DiagnosticCatalog.Missing, service.Position, "spec", "has neither hosts nor addresses", "add one of the two");
        }
    }
}
