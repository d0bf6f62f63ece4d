using Keepalive.Config.Resources;

namespace Keepalive.Config.Validation;

/// <summary>Checks host names.</summary>
internal static class HostValidator
{
    public static void Validate(Destination destination, Positioned<string> host, string field, ResourceReport report)
    {
        var name = host.Value;
        if (IpPrefix.TryParse(name, out _, out _))
        {
            report.Report(DiagnosticCatalog.BadHost, host.Position, field, $"is an address, not a host name: {Quoting.Quote(name)}",
                destination is ExternalService ? "move it to spec.addresses" : $"move it to the annotation {AgentAnnotations.Addresses}");
        }
        else if (HostName.IsWildcard(name) && destination is ExternalService && HostName.IsValid(name[2..]))
        {
            report.Report(DiagnosticCatalog.HostUnresolved, host.Position, field,
                $"is a wildcard, which has no addresses: {Quoting.Quote(name)}",
                $"name the addresses in the annotation {AgentAnnotations.Addresses}");
        }
        else if (!HostName.IsValid(name))
        {
            report.Report(DiagnosticCatalog.BadHost, host.Position, field, $"is not a host name: {Quoting.Quote(name)}",
                name.Contains('*', StringComparison.Ordinal)
                    ? "write the host out, without \"*\""
                    : "use letters, digits, \"-\" and \".\"");
        }
    }
}
