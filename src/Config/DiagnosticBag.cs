using System.Collections.Immutable;
using System.Globalization;

namespace Keepalive.Config;

/// <summary>Collects diagnostics: each once, and no more than anyone would read.</summary>
internal sealed class DiagnosticBag
{
    private const int MaxPerSeverity = 1000;

    private readonly HashSet<Diagnostic> seen = [];
    private readonly int[] kept = new int[3];
    private readonly int[] dropped = new int[3];
    private SourcePosition firstDropped;

    /// <summary>Whether the API server has passed what is read: a field that is not known here is one of a newer version of its kind.</summary>
    public bool IsFromServer { get; init; }

    /// <summary>Errors reported so far; those not kept count too.</summary>
    public int ErrorCount { get; private set; }

    public void Report(DiagnosticKind kind, SourcePosition position, string message, string? fix = null)
    {
        if (IsFromServer && kind == DiagnosticCatalog.UnknownKey)
        {
            (kind, fix) = (DiagnosticCatalog.NewerField, null);
        }

        ErrorCount += kind.Severity == Severity.Error ? 1 : 0;
        var severity = (int)kind.Severity;
        if (kept[severity] >= MaxPerSeverity)
        {
            firstDropped = dropped.Sum() == 0 ? position : firstDropped;
            dropped[severity]++;
            return;
        }

        // An aliased node is read once for each place that refers to it, and is wrong only once.
        if (seen.Add(new Diagnostic(kind.Code, kind.Severity, position, message, fix)))
        {
            kept[severity]++;
        }
    }

    public ImmutableArray<Diagnostic> ToSorted()
    {
        var sorted = seen.OrderBy(static diagnostic => diagnostic.Position)
            .ThenByDescending(static diagnostic => diagnostic.Severity)
            .ThenBy(static diagnostic => diagnostic.Code, StringComparer.Ordinal).ToList();
        if (dropped.Sum() > 0)
        {
            var counts = string.Create(CultureInfo.InvariantCulture, $"{dropped[2]} errors, {dropped[1]} warnings, {dropped[0]} notes");
            var kind = dropped[2] > 0 ? DiagnosticCatalog.MoreProblems : DiagnosticCatalog.MoreRemarks;
            sorted.Add(new Diagnostic(kind.Code, kind.Severity, firstDropped, $"more was found than is shown: {counts}", null));
        }

        return [.. sorted];
    }
}
