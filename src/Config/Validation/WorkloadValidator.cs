using Keepalive.Config.Resources;

namespace Keepalive.Config.Validation;

/// <summary>Checks the objects that only tell addresses.</summary>
internal static class WorkloadValidator
{
    public static void Validate(ExternalEndpoint endpoint, ResourceReport report) => ValidateAddress(endpoint.Address, "spec.address", report);

    public static void Validate(WorkloadEntry entry, ResourceReport report) =>
        ValidateAddress(entry.Workload.Address, "spec.address", report);

    public static void Validate(ServiceEntry entry, ResourceReport report)
    {
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

    private static void ValidateAddress(Positioned<string>? address, string field, ResourceReport report)
    {
        if (address is { } text && !MeshWorkload.IsPath(text.Value) && !IpPrefix.TryParse(text.Value, out _, out _) && !HostName.IsValid(text.Value))
        {
            report.Report(DiagnosticCatalog.BadAddress, text.Position, field,
                $"is neither an IP address nor a host name: {Quoting.Quote(text.Value)}", "write it like 10.0.0.1 or db.example.com");
        }
    }
}
