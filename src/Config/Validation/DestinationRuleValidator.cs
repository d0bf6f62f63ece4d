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

    private static void ValidateHost(DestinationRule rule, ResourceReport report)
    {
        var host = rule.Host.Value;
        var rest = host switch { "*" => "any", _ when HostName.IsWildcard(host) => host[2..], _ => host };
        if (host.Length > 0 && !HostName.IsValid(rest))
        {
            report.Report(DiagnosticCatalog.BadHost, rule.Host.Position, "spec.host", $"is not a host name: {Quoting.Quote(host)}",
                "write a name like reviews, reviews.prod.svc.cluster.local or *.example.com");
        }
    }
}
