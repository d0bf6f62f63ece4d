using Keepalive.Config.Resources;

namespace Keepalive.Config.Validation;

/// <summary>Checks the objects that only tell addresses.</summary>
internal static class WorkloadValidator
{
    public static void Validate(ExternalEndpoint endpoint, ResourceReport report) => ValidateAddress(endpoint.Address, "spec.address", report);

    public static void Validate(WorkloadEntry entry, ResourceReport report)
    {
        ValidateAddress(entry.Workload.Address, "spec.address", report);
        if (entry.Workload.Address is null && !entry.HasNetwork && !report.IsFaulty("spec.address"))
        {
            report.Report(DiagnosticCatalog.NoEffect, entry.Position, "spec.address", "is missing, so no connection goes to it", "add the address");
        }
    }

    public static void Validate(ServiceEntry entry, ResourceReport report)
    {
        if (entry.Hosts.IsEmpty && !report.IsFaulty("spec.hosts"))
        {
            report.Report(DiagnosticCatalog.NoEffect, entry.Position, "spec.hosts",
                "is empty, so no client and no DestinationRule can name it", "add the hosts");
        }

        for (var i = 0; i < entry.Addresses.Length; i++)
        {
            AddressValidator.Validate(entry.Addresses[i], $"spec.addresses[{i}]", report);
        }

        for (var i = 0; i < entry.Endpoints.Length; i++)
        {
            ValidateAddress(entry.Endpoints[i].Address, $"spec.endpoints[{i}].address", report);
        }
    }

    public static void Validate(EndpointSlice slice, ResourceReport report)
    {
        foreach (var address in slice.Addresses)
        {
            ValidateAddress(address, "endpoints[].addresses", report);
        }
    }

    public static void Validate(Endpoints endpoints, ResourceReport report)
    {
        foreach (var address in endpoints.Slices.SelectMany(static slice => slice.Addresses))
        {
            ValidateAddress(address, "subsets[].addresses[].ip", report);
        }
    }

    private static void ValidateAddress(Positioned<string>? address, string field, ResourceReport report)
    {
        if (address is { } text && !MeshWorkload.IsPath(text.Value) && !IpPrefix.TryParse(text.Value, out _, out _) && !HostName.IsValid(text.Value))
        {
            report.Report(DiagnosticCatalog.BadAddress, text.Position, field,
                $"is neither an IP address nor a host name: {Quoting.Quote(text.Value)}", "write it like 10.0.0.1 or db.example.com");
        }
    }
}
