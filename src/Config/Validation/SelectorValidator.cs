using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Validation;

/// <summary>Says which parts of a selector have no effect.</summary>
internal static class SelectorValidator
{
    public static void Validate(ObjectSelector selector, string field, ResourceReport report)
    {
        if ((selector.Cluster ?? selector.Workspace) is { } ignored)
        {
            var names = selector.Cluster is null ? "workspace" : selector.Workspace is null ? "cluster" : "cluster and workspace";
            report.Report(DiagnosticCatalog.NotEvaluated, ignored.Position, field,
                $"has {names}, which few objects in files have; an object without them matches");
        }
    }

    public static void Validate(ImmutableArray<ObjectSelector> selectors, string field, ResourceReport report)
    {
        for (var i = 0; i < selectors.Length; i++)
        {
            Validate(selectors[i], $"{field}[{i}]", report);
        }
    }
}
