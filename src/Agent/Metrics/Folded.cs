namespace Keepalive.Agent.Metrics;

/// <summary>The label value of series that are counted together.</summary>
internal static class Folded
{
    /// <summary>Any number of Kubernetes namespaces may come and go, so they are combined, too. A series without a namespace stays without.</summary>
    public static string Namespace(string ns) => ns.Length > 0 ? MetricCatalogue.Other : ns;
}
