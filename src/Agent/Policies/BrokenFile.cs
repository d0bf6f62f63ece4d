using System.Collections.Immutable;
using System.Globalization;
using Keepalive.Config;

namespace Keepalive.Agent.Policies;

/// <summary>A policy file with errors.</summary>
/// <param name="Path">Its path, or that of a directory that cannot be searched.</param>
/// <param name="Errors">Its errors.</param>
/// <param name="GoodAt">When its last good content was loaded first; null if there is none, and then the file is ignored.</param>
internal sealed record BrokenFile(string Path, ImmutableArray<Diagnostic> Errors, DateTimeOffset? GoodAt)
{
    /// <summary>The file that has every object of the last good content now; null if none has.</summary>
    public string? MovedTo { get; init; }

    /// <summary>The effect of the errors.</summary>
    public string Consequence => MovedTo is { } other ? $"its objects are in {other} too, which is in force instead"
        : GoodAt is { } at
        ? string.Create(CultureInfo.InvariantCulture, $"its last good content, loaded {at.UtcDateTime:yyyy-MM-ddTHH:mm:ssZ}, stays in force")
        : "there is no last good content, so it is ignored until it is corrected";
}
