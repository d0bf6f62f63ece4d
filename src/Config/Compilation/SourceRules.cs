using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>The rules of the policies that are for connections of certain workloads only.</summary>
/// <param name="From">The workloads.</param>
/// <param name="Rules">Their rules, at most one for each prefix and port.</param>
public sealed record SourceRules(WorkloadSelector From, ImmutableArray<CompiledRule> Rules);
