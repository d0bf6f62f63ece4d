using System.Collections.Immutable;
using Keepalive.Config;

namespace Keepalive.Agent.Policies;

/// <summary>Outcome of reading the policies once.</summary>
/// <param name="Snapshot">The new policy; null where errors keep the last good one in force.</param>
/// <param name="Diagnostics">Everything that was noticed.</param>
internal sealed record PolicyLoad(PolicySnapshot? Snapshot, ImmutableArray<Diagnostic> Diagnostics)
{
    public IEnumerable<Diagnostic> Errors => Diagnostics.Where(d => d.Severity == Severity.Error);
}
