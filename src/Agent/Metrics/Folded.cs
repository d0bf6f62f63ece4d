namespace Keepalive.Agent.Metrics;

/// <summary>The label value of series that are counted together.</summary>
internal static class Folded
{
    /// <summary>Of the cluster's namespaces come and go as many as anybody makes; what is in none stays so.</summary>
    public static string Namespace(string ns) => ns.Length > 0 ? MetricCatalogue.Other : ns;
}
