using Keepalive.Config.Resources;

namespace Keepalive.Config.Validation;

/// <summary>Checks the values of a ConnectionPolicy.</summary>
internal static class ConnectionPolicyValidator
{
    public static void Validate(ConnectionPolicy policy, ResourceReport report)
    {
        ValidateAnnotations(policy, report);
        if (policy.Metadata.Annotations.TryGetValue(AgentAnnotations.From, out var from) && !WorkloadSelector.TryParse(from.Value, out _, out var problem))
        {
            report.Report(DiagnosticCatalog.BadAnnotation, from.Position, $"annotation {AgentAnnotations.From}",
                $"of {Quoting.Quote(from.Value)} {problem}", "write the pods' namespace and labels, like namespace=shop,app=web");
        }

        for (var i = 0; i < policy.ApplyToDestinations.Length; i++)
        {
            var field = $"spec.applyToDestinations[{i}]";
            SelectorValidator.Validate(policy.ApplyToDestinations[i].Selector, $"{field}.selector", report);
        }

        if (policy.Tcp is { } tcp)
        {
            ValidateTcp(tcp, "spec.config.tcp", report);
        }

        if (policy.Http is { } http)
        {
            ValidateHttp(http, report);
        }

        if (policy.Tcp?.TcpKeepalive is null
            && !report.IsFaulty("spec.config", "spec.config.tcp", "spec.config.tcp.tcpKeepalive"))
        {
            report.Report(DiagnosticCatalog.NoKeepalive, policy.Position, "spec.config.tcp",
                "has no tcpKeepalive, so the policy sets nothing",
                "add \"tcpKeepalive: {}\" to switch keepalive on with the socket's own values");
        }

        ReportNotEnforced(policy, report);
    }

    /// <summary>Checks the annotations that every kind of policy can have.</summary>
    public static void ValidateAnnotations(Policy policy, ResourceReport report)
    {
        if (policy.Metadata.Annotations.TryGetValue(AgentAnnotations.Existing, out var existing)
            && !AgentAnnotations.TryParseExisting(existing.Value, out _))
        {
            report.Report(DiagnosticCatalog.BadAnnotation, existing.Position, $"annotation {AgentAnnotations.Existing}",
                $"cannot be {Quoting.Quote(existing.Value)}", "write tighten, keep or replace");
        }

        if (policy.Metadata.Annotations.TryGetValue(AgentAnnotations.UserTimeout, out var timeout)
            && !UserTimeoutChoice.TryParse(timeout.Value, out _))
        {
            report.Report(DiagnosticCatalog.BadAnnotation, timeout.Position, $"annotation {AgentAnnotations.UserTimeout}",
                $"cannot be {Quoting.Quote(timeout.Value)}",
                $"write keep, raise, skip, or a duration like 30s, from 1ms to {GoDuration.FormatSeconds(UserTimeout.Max / 1000)} and in whole milliseconds");
        }
    }

    /// <summary>Checks the settings that a ConnectionPolicy and a DestinationRule have alike.</summary>
    public static void ValidateTcp(TcpConfig tcp, string field, ResourceReport report)
    {
        DurationValidator.Validate(tcp.ConnectTimeout, $"{field}.connectTimeout", report);
        DurationValidator.Validate(tcp.MaxConnectionDuration, $"{field}.maxConnectionDuration", report);
        if (tcp.TcpKeepalive is { } keepalive)
        {
            DurationValidator.ValidateKeepalive(keepalive, $"{field}.tcpKeepalive", report);
        }
    }

    private static void ValidateHttp(HttpConfig http, ResourceReport report)
    {
        const string field = "spec.config.http";
        DurationValidator.Validate(http.IdleTimeout, $"{field}.idleTimeout", report, zeroAllowed: true);
    }

    /// <summary>One note for all the settings no socket option carries.</summary>
    private static void ReportNotEnforced(ConnectionPolicy policy, ResourceReport report)
    {
        var (tcp, http) = (policy.Tcp, policy.Http);
        (string Name, SourcePosition? Position)[] settings =
        [
            ("tcp.maxConnections", tcp?.MaxConnections?.Position),
            ("tcp.connectTimeout", tcp?.ConnectTimeout?.Position),
            ("tcp.maxConnectionDuration", tcp?.MaxConnectionDuration?.Position),
            ("http.idleTimeout", http?.IdleTimeout?.Position),
            ("http.maxPendingRequests", http?.MaxPendingRequests?.Position),
            ("http.maxRequests", http?.MaxRequests?.Position),
            ("http.maxRequestsPerConnection", http?.MaxRequestsPerConnection?.Position),
            ("http.maxRetries", http?.MaxRetries?.Position),
        ];
        var written = settings.Where(static setting => setting.Position is not null).ToList();
        if (written.Count > 0)
        {
            var names = string.Join(", ", written.Select(static setting => setting.Name));
            report.Report(DiagnosticCatalog.NotEnforced, written.Min(static setting => setting.Position!.Value), "spec.config",
                $"sets {names}, which only a proxy can enforce");
        }
    }
}
