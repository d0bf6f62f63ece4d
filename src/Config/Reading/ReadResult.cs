using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>The resources that were read, and their problems.</summary>
/// <param name="Resources">Every resource of a known kind; those with errors have <see cref="Resource.IsValid"/> false.</param>
/// <param name="Diagnostics">All problems, of syntax as well as of values, in order of file, line and column.</param>
public sealed record ReadResult(ResourceSet Resources, ImmutableArray<Diagnostic> Diagnostics)
{
    /// <summary>How many files were opened.</summary>
    public int Files { get; init; }

    /// <summary>The files that were found, in their order, also those that could not be opened.</summary>
    public ImmutableArray<string> Found { get; init; } = [];

    /// <summary>Whether every given path could be searched. If not, there may be more files than were found.</summary>
    public bool IsWhole { get; init; } = true;

    /// <summary>Whether any diagnostic is an error.</summary>
    public bool HasErrors => Diagnostics.Any(static diagnostic => diagnostic.Severity == Severity.Error);
}
