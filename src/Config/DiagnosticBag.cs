using System.Collections.Immutable;
using System.Globalization;

namespace Keepalive.Config;

/// <summary>Collects diagnostics: each once, and no more than anyone would read.</summary>
internal sealed class DiagnosticBag
{
    private const int MaxPerSeverity = 1000;

    private readonly HashSet<Diagnostic> _seen;
    private readonly int[] _kept = new int[3];
    private readonly int[] _dropped = new int[3];
    private SourcePosition _firstDropped;

    public DiagnosticBag()
        : this([])
    {
    }

    private DiagnosticBag(HashSet<Diagnostic> seen) => _seen = seen;

    /// <summary>Whether the API server has passed what is read: a field that is not known here is one of a newer version of its kind.</summary>
    public bool IsFromServer { get; init; }

    /// <summary>Errors reported so far; those not kept count too.</summary>
    public int ErrorCount { get; private set; }

    public void Report(DiagnosticKind kind, SourcePosition position, string message, string? fix = null) =>
        Add(new Diagnostic(kind.Code, kind.Severity, position, message, fix));

    public void Add(Diagnostic diagnostic)
    {
        ErrorCount += diagnostic.Severity == Severity.Error ? 1 : 0;
        if (diagnostic.Position.Within is { } within && !diagnostic.Message.StartsWith(within, StringComparison.Ordinal))
        {
            diagnostic = diagnostic with { Message = $"{within}: {diagnostic.Message}" };
        }

        var severity = (int)diagnostic.Severity;
        if (_kept[severity] >= MaxPerSeverity)
        {
            Count(severity, diagnostic.Position);
            return;
        }

        // An aliased node is read once for each place that refers to it, and is wrong only once.
        if (_seen.Add(diagnostic))
        {
            _kept[severity]++;
        }
    }

    /// <summary>Whether another of this severity is kept. It need not be made otherwise.</summary>
    public bool HasRoom(Severity severity) => _kept[(int)severity] < MaxPerSeverity;

    /// <summary>Counts one that there is no room for.</summary>
    public void Drop(Severity severity, SourcePosition position)
    {
        ErrorCount += severity == Severity.Error ? 1 : 0;
        Count((int)severity, position);
    }

    private void Count(int severity, SourcePosition position)
    {
        _firstDropped = _dropped.Sum() == 0 ? position : _firstDropped;
        _dropped[severity]++;
    }

    /// <summary>A bag with the same diagnostics.</summary>
    public DiagnosticBag Copy()
    {
        // A set that is made of a set takes its table as it is.
        var copy = new DiagnosticBag(new HashSet<Diagnostic>(_seen)) { IsFromServer = IsFromServer, ErrorCount = ErrorCount, _firstDropped = _firstDropped };
        _kept.CopyTo(copy._kept, 0);
        _dropped.CopyTo(copy._dropped, 0);
        return copy;
    }

    public ImmutableArray<Diagnostic> ToSorted()
    {
        var sorted = _seen.OrderBy(static diagnostic => diagnostic.Position)
            .ThenByDescending(static diagnostic => diagnostic.Severity)
            .ThenBy(static diagnostic => diagnostic.Code, StringComparer.Ordinal).ToList();
        if (_dropped.Sum() > 0)
        {
            var counts = string.Create(CultureInfo.InvariantCulture, $"{_dropped[2]} errors, {_dropped[1]} warnings, {_dropped[0]} notes");
            var kind = _dropped[2] > 0 ? DiagnosticCatalog.MoreProblems : DiagnosticCatalog.MoreRemarks;
            sorted.Add(new Diagnostic(kind.Code, kind.Severity, _firstDropped, $"more was found than is shown: {counts}", null));
        }

        return [.. sorted];
    }
}
