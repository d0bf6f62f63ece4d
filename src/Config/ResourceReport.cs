namespace Keepalive.Config;

/// <summary>Reports problems of one object, whose name every message starts with.</summary>
internal sealed class ResourceReport(DiagnosticBag diagnostics, string subject)
{
    private readonly HashSet<string> _faulty = new(StringComparer.Ordinal);
    private readonly HashSet<object> _reported = new(ReferenceEqualityComparer.Instance);

    /// <summary>The object as messages name it: <c>ConnectionPolicy bookinfo/tcp-keepalive</c>.</summary>
    public string Subject { get; set; } = subject;

    /// <inheritdoc cref="DiagnosticBag.IsFromServer"/>
    public bool IsFromServer => diagnostics.IsFromServer;

    /// <summary>Where problems without a field go.</summary>
    public DiagnosticBag Diagnostics => diagnostics;

    /// <summary>Reports a problem of one field.</summary>
    /// <param name="kind">The kind of problem.</param>
    /// <param name="position">Where.</param>
    /// <param name="field">The field's path, such as <c>spec.ports[0].number</c>.</param>
    /// <param name="message">The problem; continues a sentence after the field.</param>
    /// <param name="fix">The text to write instead.</param>
    public void Report(DiagnosticKind kind, SourcePosition position, string field, string message, string? fix = null)
    {
        if (kind.Severity == Severity.Error)
        {
            MarkFaulty(field);
        }

        diagnostics.Report(kind, position, $"{Subject}: {field} {message}", fix);
    }

    /// <summary>Remembers that a key was reported, which readers need not report as unknown.</summary>
    public void MarkReported(object key) => _reported.Add(key);

    /// <summary>Whether a key was reported.</summary>
    public bool IsReported(object key) => _reported.Contains(key);

    /// <summary>Remembers that a field has an error already.</summary>
    public void MarkFaulty(string field) => _faulty.Add(field);

    /// <summary>Whether one of these fields has an error already, so that its absence is no news.</summary>
    public bool IsFaulty(params ReadOnlySpan<string> fields)
    {
        foreach (var field in fields)
        {
            if (_faulty.Contains(field) || _faulty.Any(other => other.StartsWith(field + "[", StringComparison.Ordinal)))
            {
                return true;
            }
        }

        return false;
    }
}
