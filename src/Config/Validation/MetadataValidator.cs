using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Validation;

/// <summary>Checks names, and that the agent's own annotations are known and on the right kind.</summary>
internal static class MetadataValidator
{
    /// <summary>Reports what is wrong.</summary>
    /// <param name="metadata">The metadata.</param>
    /// <param name="known">The annotations of the agent's that this kind of object can have.</param>
    /// <param name="report">Where problems go.</param>
    public static void Validate(ObjectMetadata metadata, ImmutableArray<string> known, ResourceReport report)
    {
        if (!IsSubdomain(metadata.Name.Value))
        {
            report.Report(DiagnosticCatalog.BadName, metadata.Name.Position, "metadata.name",
                $"cannot be {Quoting.Quote(metadata.Name.Value)}", "use at most 253 lower-case letters, digits, \"-\" and \".\"");
        }

        if (metadata.Namespace.Length > 63 || metadata.Namespace.Contains('.') || !IsSubdomain(metadata.Namespace))
        {
            report.Report(DiagnosticCatalog.BadName, metadata.NamespacePosition, "metadata.namespace",
                $"cannot be {Quoting.Quote(metadata.Namespace)}", "use at most 63 lower-case letters, digits and \"-\"");
        }

        foreach (var (key, value) in metadata.Annotations)
        {
            if (key.StartsWith(AgentAnnotations.Prefix, StringComparison.Ordinal) && !known.Contains(key))
            {
                report.Report(DiagnosticCatalog.UnknownAnnotation, value.Position, "metadata.annotations",
                    $"has {Quoting.Quote(key)}, which has no effect",
                    known.IsEmpty ? "remove it" : $"the agent knows {string.Join(", ", known[..^1])}{(known.Length > 1 ? " and " : "")}{known[^1]} on this kind");
            }
        }
    }

    /// <summary>A DNS subdomain as RFC 1123 has it: what Kubernetes allows as a name.</summary>
    private static bool IsSubdomain(string name) =>
        name.Length is > 0 and <= 253 && name.Split('.').All(static label =>
            label.Length > 0 && label[0] != '-' && label[^1] != '-'
            && label.All(static c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-'));
}
