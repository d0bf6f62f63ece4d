using Keepalive.Config.Resources;

namespace Keepalive.Config.Validation;

/// <summary>Checks the values of a VirtualDestination.</summary>
internal static class VirtualDestinationValidator
{
    public static void Validate(VirtualDestination destination, ResourceReport report)
    {
        DestinationValidator.Validate(destination, report);
        SelectorValidator.Validate(destination.Services, "spec.services", report);
        SelectorValidator.Validate(destination.ExternalServices, "spec.externalServices", report);
        SelectorValidator.Validate(destination.ExternalWorkloads, "spec.externalWorkloads", report);
        if (destination.Hosts.IsEmpty && destination.Services.IsEmpty
            && destination.ExternalServices.IsEmpty && destination.ExternalWorkloads.IsEmpty
            && !report.IsFaulty("spec.hosts", "spec.services", "spec.externalServices", "spec.externalWorkloads"))
        {
            report.Report(DiagnosticCatalog.Missing, destination.Position, "spec",
                "has none of hosts, services, externalServices and externalWorkloads", "add at least one");
        }

        if (destination.Ports.IsEmpty && !report.IsFaulty("spec.ports"))
        {
            report.Report(DiagnosticCatalog.Missing, destination.Position, "spec.ports", "is required", "add at least one port");
        }
    }
}
