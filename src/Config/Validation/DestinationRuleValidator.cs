using Keepalive.Config.Resources;

namespace Keepalive.Config.Validation;

/// <summary>Checks the values of an Istio DestinationRule.</summary>
internal static class DestinationRuleValidator
{
    public static void Validate(DestinationRule rule, ResourceReport report)
    {
        const string field = "spec.trafficPolicy";
        ConnectionPolicyValidator.ValidateAnnotations(rule, report);
        DestinationValidator.ValidateAnnotation(rule, report);
        ValidateHost(rule, report);
        if (rule.Tcp is { } tcp)
        {
            ConnectionPolicyValidator.ValidateTcp(tcp, $"{field}.connectionPool.tcp", report);
        }

        var ports = new HashSet<long>();
        for (var i = 0; i < rule.PortLevelSettings.Length; i++)
        {
            var settings = rule.PortLevelSettings[i];
            if (settings.Tcp is { } portTcp)
            {
                ConnectionPolicyValidator.ValidateTcp(portTcp, $"{field}.portLevelSettings[{i}].connectionPool.tcp", report);
            }

            if (!ports.Add(settings.Port))
            {
                report.Report(DiagnosticCatalog.Repeated, rule.Position, $"{field}.portLevelSettings[{i}]",
                    $"is for port {settings.Port}, which an entry before it is for", "remove one of the two");
            }
        }
    }

    /// <summary>The name after the wildcard: like Istio, the first label can be <c>*</c>, or start with <c>*</c> or <c>*-</c>.</summary>
    private static string WithoutWildcard(string host) => host switch
    {
        ['*', '.', .. var rest] => rest,
        ['*', '-', .. var rest] => rest,
        ['*', .. var rest] => rest,
        _ => host,
    };

    private static void ValidateHost(DestinationRule rule, ResourceReport report)
    {
        var host = rule.Host.Value;
        if (host.Length > 0 && host != "*" && !HostName.IsValid(WithoutWildcard(host)))
        {
            report.Report(DiagnosticCatalog.BadHost, rule.Host.Position, "spec.host", $"is not a host name: {Quoting.Quote(host)}",
                "write a name like reviews, reviews.prod.svc.cluster.local, *.example.com or *-v2.example.com");
        }
    }
}
