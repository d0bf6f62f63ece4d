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

    /// <summary>Whether any diagnostic is an error.</summary>
    public bool HasErrors => Diagnostics.Any(static diagnostic => diagnostic.Severity == Severity.Error);
}
