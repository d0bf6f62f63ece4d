using Keepalive.Config.Resources;

namespace Keepalive.Config.Validation;

/// <summary>Checks the keepalive of a proxy's policy.</summary>
internal static class ProxyPolicyValidator
{
    public static void Validate(ProxyPolicy policy, ResourceReport report)
    {
        if (policy.Kind != ProxyPolicy.EnvoyFilter)
        {
            ConnectionPolicyValidator.ValidateAnnotations(policy, report);
        }

        foreach (var (path, keepalive) in policy.Keepalives)
        {
            DurationValidator.ValidateKeepalive(keepalive, path, report);
        }

        if (policy.IsAccepted && !policy.Keepalives.IsEmpty)
        {
            report.Report(DiagnosticCatalog.AcceptedOnly, policy.Position, "spec", "selects accepted connections, which needs --side both");
        }
    }
}
