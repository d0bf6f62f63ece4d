using Keepalive.Config.Resources;

namespace Keepalive.Config.Validation;

/// <summary>Checks addresses and CIDR blocks.</summary>
internal static class AddressValidator
{
    private const int MaxEntries = 10_000;

    /// <summary>Checks one address without a port.</summary>
    public static void Validate(Positioned<string> address, string field, ResourceReport report)
    {
        if (!IpPrefix.TryParse(address.Value, out var prefix, out var hostBitsCleared))
        {
            var hasPort = AddressList.TryParseEntry(address.Value, out _, out var port, out _) && port != 0;
            report.Report(DiagnosticCatalog.BadAddress, address.Position, field,
                $"{(hasPort ? "cannot have a port" : "is not an IP address or CIDR block")}: {Quoting.Quote(address.Value)}",
                hasPort
                    ? "move the port to spec.ports"
                    : "write it like 10.0.0.1, 198.51.100.0/24 or 2001:db8::/32; a name belongs into spec.hosts");
        }
        else if (hostBitsCleared)
        {
            ReportHostBits(address.Position, address.Value, prefix, field, report);
        }
    }

    /// <summary>Checks the entries of an address annotation.</summary>
    public static void ValidateList(Positioned<string> list, string field, ResourceReport report)
    {
        var entries = AddressList.Split(list.Value);
        if (entries.Count == 0)
        {
            report.Report(DiagnosticCatalog.BadAnnotation, list.Position, field, "names no address",
                "write it like \"203.0.113.10:15443, 198.51.100.0/24\"");
        }

        if (entries.Count > MaxEntries)
        {
            report.Report(DiagnosticCatalog.BadAnnotation, list.Position, field, $"names {entries.Count} addresses, more than {MaxEntries}",
                "write CIDR blocks");
            return;
        }

        foreach (var entry in entries)
        {
            if (!AddressList.TryParseEntry(entry, out var prefix, out _, out var hostBitsCleared))
            {
                report.Report(DiagnosticCatalog.BadAddress, list.Position, field, $"has {Quoting.Quote(entry)}, which is not an address",
                    "write ADDRESS, ADDRESS:PORT, [IPV6]:PORT or a CIDR block, with commas between");
            }
            else if (hostBitsCleared)
            {
                ReportHostBits(list.Position, entry, prefix, field, report);
            }
        }
    }

    private static void ReportHostBits(SourcePosition position, string text, IpPrefix prefix, string field, ResourceReport report) =>
        report.Report(DiagnosticCatalog.HostBits, position, field,
            $"has bits set behind the prefix length in {Quoting.Quote(text)}: {prefix} is used", $"write {prefix}");
}
