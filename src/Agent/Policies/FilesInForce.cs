using System.Collections.Immutable;
using Keepalive.Config;
using Keepalive.Config.Resources;

namespace Keepalive.Agent.Policies;

/// <summary>The policy files as they were at one moment, each with its last good content if it has errors.</summary>
/// <param name="Resources">The objects that count.</param>
/// <param name="Diagnostics">The diagnostics to report: the warnings of files without errors.</param>
/// <param name="Broken">The files with errors.</param>
internal sealed record FilesInForce(ResourceSet Resources, ImmutableArray<Diagnostic> Diagnostics, ImmutableArray<BrokenFile> Broken)
{
    /// <summary>Whether a file is ignored because it has no last good content. Its rules are unknown.</summary>
    public bool IsLacking { get; init; }
}
