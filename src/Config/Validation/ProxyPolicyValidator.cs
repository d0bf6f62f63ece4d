using Keepalive.Config.Resources;

namespace Keepalive.Config.Validation;

/// <summary>Checks the keepalive of a proxy's policy.</summary>
internal static class ProxyPolicyValidator
{
    public static void Validate(ProxyPolicy policy, ResourceReport report)
    {
        foreach (var (path, keepalive) in policy.Keepalives)
        {
            DurationValidator.ValidateKeepalive(keepalive, path, report);
            if (keepalive.Probes is { Value: < 0 or > KeepaliveSettings.MaxProbes } probes && policy.Kind == ProxyPolicy.EnvoyFilter)
            {
                report.Report(DiagnosticCatalog.NumberRange, probes.Position, path,
                    $"must have 0 to {KeepaliveSettings.MaxProbes} probes (Linux's limit), but has {probes.Value}", $"write {KeepaliveSettings.MaxProbes} or less");
            }
        }

        if (policy.IsAccepted && !policy.Keepalives.IsEmpty)
        {
            report.Report(DiagnosticCatalog.AcceptedOnly, policy.Position, "spec", "selects accepted connections, which needs --side both");
        }
    }
}
