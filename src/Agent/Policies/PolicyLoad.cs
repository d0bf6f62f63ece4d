using System.Collections.Immutable;
using Keepalive.Config;

namespace Keepalive.Agent.Policies;

/// <summary>Outcome of reading the policies once.</summary>
/// <param name="Snapshot">The new policy; null if errors keep the last valid one in force.</param>
/// <param name="Diagnostics">The diagnostics to report.</param>
internal sealed record PolicyLoad(PolicySnapshot? Snapshot, ImmutableArray<Diagnostic> Diagnostics)
{
    /// <summary>The files with errors, if the files were read; null if only other things changed.</summary>
    public ImmutableArray<BrokenFile>? Broken { get; init; }

    public IEnumerable<Diagnostic> Errors => Diagnostics.Where(d => d.Severity == Severity.Error);
}
