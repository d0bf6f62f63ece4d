using System.Collections.Immutable;

namespace Keepalive.Config.Compilation;

/// <summary>The compiled policy and what there is to say about it.</summary>
/// <param name="Policy">What to run on. Rules of resources with errors are not in it.</param>
/// <param name="Diagnostics">What only shows once the resources are seen together. Those of the reader are not repeated.</param>
/// <param name="Policies">One entry for each valid ConnectionPolicy, in order of precedence.</param>
/// <param name="Destinations">One entry for each valid destination, in document order.</param>
public sealed record CompilationResult(
    CompiledPolicy Policy,
    ImmutableArray<Diagnostic> Diagnostics,
    ImmutableArray<PolicySummary> Policies,
    ImmutableArray<DestinationSummary> Destinations);

/// <summary>What one ConnectionPolicy amounts to.</summary>
/// <param name="Policy"><c>namespace/name</c>.</param>
/// <param name="Position">Where it is written.</param>
/// <param name="Settings">What it sets; null when it has no <c>tcpKeepalive</c> and so enforces nothing.</param>
/// <param name="Destinations">Destinations it selects.</param>
/// <param name="Addresses">Distinct prefixes it is the rule for, whatever their ports.</param>
/// <param name="Rules">Rules in force: pairs of prefix and port.</param>
public sealed record PolicySummary(
    string Policy, SourcePosition Position, KeepaliveSettings? Settings, int Destinations, int Addresses, int Rules);

/// <summary>What is known of one destination.</summary>
/// <param name="Destination"><c>namespace/name</c>.</param>
/// <param name="Kind"><c>VirtualDestination</c> or <c>ExternalService</c>.</param>
/// <param name="Position">Where it is written.</param>
/// <param name="Policies">The policies that select it, <c>namespace/name</c>, the one with precedence first.</param>
/// <param name="Addresses">Distinct prefixes it has; 0 means no socket can be matched to it.</param>
public sealed record DestinationSummary(
    string Destination, string Kind, SourcePosition Position, ImmutableArray<string> Policies, int Addresses);
