using Keepalive.Probes.Pages;

namespace Keepalive.Simulator.Pages;

/// <summary>Figures of a simulation or a measurement, as the page of charts shows them.</summary>
internal sealed record ChartReport
{
    /// <summary>The heading.</summary>
    public required string Title { get; init; }

    /// <summary>The command.</summary>
    public required string Source { get; init; }

    /// <summary>The result in a sentence or two.</summary>
    public required string Verdict { get; init; }

    /// <summary>Whether the result is good; null where it is neither.</summary>
    public bool? IsGood { get; init; }

    /// <summary>Figures of the whole.</summary>
    public IReadOnlyList<ReportFact> Facts { get; init; } = [];

    /// <summary>What was simulated or measured.</summary>
    public IReadOnlyList<ReportSetting> Settings { get; init; } = [];

    public IReadOnlyList<ReportSection> Sections { get; init; } = [];

    /// <summary>The parts that the page does not show, a sentence each.</summary>
    public IReadOnlyList<string> LeftOut { get; init; } = [];
}

/// <summary>A part of the page.</summary>
/// <param name="Title">Its heading.</param>
/// <param name="Words">A sentence below it; empty for none.</param>
internal sealed record ReportSection(string Title, string Words)
{
    public IReadOnlyList<Chart> Charts { get; init; } = [];

    public ReportTable? Table { get; init; }

    /// <summary>A file's text; null for none.</summary>
    public string? Code { get; init; }
}

/// <summary>A table of the page.</summary>
/// <param name="Name">What its rows are; a long one is folded under it.</param>
/// <param name="Heads">The names of its columns.</param>
/// <param name="Rows">Its rows.</param>
internal sealed record ReportTable(string Name, IReadOnlyList<string> Heads, IReadOnlyList<ReportRow> Rows)
{
    /// <summary>Columns of text at the beginning; the others are numbers.</summary>
    public int TextColumns { get; init; }

    /// <summary>Whether it is shown only if asked for.</summary>
    public bool IsFolded { get; init; }
}

/// <summary>A row of a table.</summary>
/// <param name="Cells">Its cells.</param>
/// <param name="IsGood">Whether it is marked as good or bad; null for neither.</param>
internal readonly record struct ReportRow(IReadOnlyList<string> Cells, bool? IsGood = null);
