using Keepalive.Config;
using Keepalive.Config.Resources;

namespace Keepalive.Agent.Kubernetes;

/// <summary>Reads the values that a pod or a namespace chooses for its own connections, from its annotation.</summary>
/// <param name="least">The least time and interval; smaller ones are raised to these, so that a pod cannot make itself a flood of probes.
/// Null if no object may choose values.</param>
/// <param name="report">Receives the problems of an object.</param>
internal sealed class OwnValuesReader(KeepaliveSettings? least, Action<ObjectReference, Diagnostic>? report = null)
{
    /// <summary>For commands: no object may choose values.</summary>
    public static OwnValuesReader Disallowed { get; } = new(null);

    /// <summary>Returns the values of an object; null if it has none that are valid.</summary>
    public KeepaliveSettings? Read(string kind, string apiVersion, ApiMetadata head)
    {
        if (least is not { } floor || head.Annotations?.GetValueOrDefault(AgentAnnotations.Keepalive) is not { } text)
        {
            return null;
        }
        if (!KeepaliveText.TryParse(text, out var settings, out var problem))
        {
            Report(DiagnosticCatalog.BadAnnotation, problem, "write the values like 60s/10s/6, or remove the annotation");
            return null;
        }
        var raised = settings with { Time = Math.Max(settings.Time!.Value, floor.Time!.Value), Interval = Math.Max(settings.Interval!.Value, floor.Interval!.Value) };
        if (raised != settings)
        {
            Report(DiagnosticCatalog.OwnBelowLeast, $"of {KeepaliveText.Format(settings)} is below the least time and interval that the operator of this node allows; "
                + $"{KeepaliveText.Format(raised)} is used", $"write at least {floor.Time}s/{floor.Interval}s");
        }
        return raised;

        void Report(DiagnosticKind what, string message, string fix) => report?.Invoke(
            new ObjectReference(apiVersion, kind, head.Namespace, head.Name!, head.Uid),
            new Diagnostic(what.Code, what.Severity, new SourcePosition(Name(kind, head), 0, 0), $"{Name(kind, head)}: annotation {AgentAnnotations.Keepalive} {message}", fix));
    }

    private static string Name(string kind, ApiMetadata head) => TerminalText.Mask(head.Namespace is { Length: > 0 } ns ? $"{kind} {ns}/{head.Name}" : $"{kind} {head.Name}");
}
