using Keepalive.Config.Resources;

namespace Keepalive.Config.Validation;

/// <summary>Checks the values of a ListenerConnectionPolicy.</summary>
internal static class ListenerConnectionPolicyValidator
{
    public static void Validate(ListenerConnectionPolicy policy, ResourceReport report)
    {
        ConnectionPolicyValidator.ValidateAnnotations(policy, report);
        for (var i = 0; i < policy.ApplyToListeners.Length; i++)
        {
            SelectorValidator.Validate(policy.ApplyToListeners[i].Selector, $"spec.applyToListeners[{i}].virtualGateway", report);
        }

        if (policy.TcpKeepalive is { } keepalive)
        {
            DurationValidator.ValidateKeepalive(keepalive, "spec.config.tcpKeepalive", report);
            report.Report(DiagnosticCatalog.AcceptedOnly, policy.Position, "spec",
                "selects accepted connections, which needs --side both");
        }
        else if (!report.IsFaulty("spec.config", "spec.config.tcpKeepalive"))
        {
            report.Report(DiagnosticCatalog.NoKeepalive, policy.Position, "spec.config", "has no tcpKeepalive, so the policy sets nothing",
                "add \"tcpKeepalive: {}\" to switch keepalive on with the socket's own values");
        }

        if (policy.PerConnectionBufferLimitBytes is { } limit)
        {
            report.Report(DiagnosticCatalog.NotEnforced, limit.Position, "spec.config",
                "sets perConnectionBufferLimitBytes, which only a proxy can enforce");
        }
    }
}
