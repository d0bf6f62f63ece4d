using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
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
        else if (IsWildcard(name) && destination is ExternalService && IsHostName(name[2..]))
        {
            report.Report(DiagnosticCatalog.HostUnresolved, host.Position, field,
                $"is a wildcard, which has no addresses: {Quoting.Quote(name)}",
                $"name the addresses in the annotation {AgentAnnotations.Addresses}");
        }
        else if (!IsHostName(name))
        {
            report.Report(DiagnosticCatalog.BadHost, host.Position, field, $"is not a host name: {Quoting.Quote(name)}",
                name.Contains('*', StringComparison.Ordinal)
                    ? "write the host out, without \"*\""
                    : "use letters, digits, \"-\" and \".\"");
        }
    }

    /// <summary>Whether the name stands for many: <c>*.example.com</c>.</summary>
    public static bool IsWildcard(string name) => name.StartsWith("*.", StringComparison.Ordinal);

    /// <summary>Whether it has the form of a host name.</summary>
    public static bool IsHostName(string name)
    {
        if (name.Length is 0 or > 255)
        {
            return false;
        }

        var labels = (name.EndsWith('.') ? name[..^1] : name).Split('.');
        return labels.All(IsLabel) && labels[^1].Any(static c => !char.IsAsciiDigit(c));
    }

    private static bool IsLabel(string label) =>
        label.Length is > 0 and <= 63 && label[0] != '-' && label[^1] != '-'
            && label.All(static c => char.IsAsciiLetterOrDigit(c) || c == '-');
}
