using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>The compiled policy and what there is to say about it.</summary>
/// <param name="Policy">The policy to run on. Rules of resources with errors are not in it.</param>
/// <param name="Diagnostics">Problems that appear only when all resources are known. Those of the reader are not repeated.</param>
/// <param name="Destinations">One entry for each valid destination, in document order.</param>
public sealed record CompilationResult(
    CompiledPolicy Policy,
    ImmutableArray<Diagnostic> Diagnostics,
    ImmutableArray<DestinationSummary> Destinations)
{
    private readonly Lazy<ImmutableArray<PolicySummary>> _policies = new([]);
    private readonly Lazy<ImmutableArray<Selection>> _selections = new([]);

    /// <summary>One entry for each valid policy, in order of precedence.</summary>
    public ImmutableArray<PolicySummary> Policies => _policies.Value;

    /// <summary>The names whose addresses decide where destinations are: lower case, without a trailing dot, no duplicates, no wildcards.</summary>
    public required IReadOnlySet<string> WantedHosts { get; init; }

    /// <summary>The Services whose EndpointSlices decide where destinations are.</summary>
    public required IReadOnlySet<(string Namespace, string Name)> WantedServices { get; init; }

    /// <summary>The destinations of each policy, the policy with precedence first. Rendering uses it.</summary>
    internal ImmutableArray<Selection> Selections => _selections.Value;

    /// <summary>Makes <see cref="Policies"/> when somebody asks.</summary>
    internal Lazy<ImmutableArray<PolicySummary>> SummarizesPolicies { init => _policies = value; }

    /// <summary>Finds <see cref="Selections"/> when somebody asks.</summary>
    internal Lazy<ImmutableArray<Selection>> FindsSelections { init => _selections = value; }
}

/// <summary>The effect of one policy.</summary>
/// <param name="Policy">Its name in rules.</param>
/// <param name="Source">The policy as written.</param>
/// <param name="Settings">The distinct sets of values; empty if it has no <c>tcpKeepalive</c>.</param>
/// <param name="Destinations">Destinations it selects.</param>
/// <param name="Ports">Ports of these that it selects; any port counts as one.</param>
/// <param name="Addresses">Distinct prefixes it is the rule for, whatever their ports.</param>
/// <param name="Rules">Rules in force: pairs of prefix and port.</param>
public sealed record PolicySummary(
    string Policy, Policy Source, ImmutableArray<KeepaliveSettings> Settings, int Destinations, int Ports, int Addresses, int Rules)
{
    /// <summary>The ports by their values, for a DestinationRule with <c>portLevelSettings</c>; empty for others.</summary>
    public ImmutableArray<PortGroup> PortGroups { get; init; } = [];

    /// <summary>Its treatment of an application's TCP_USER_TIMEOUT.</summary>
    public UserTimeoutChoice UserTimeout { get; init; }

    /// <summary>The TCP_USER_TIMEOUT that every socket of the policy gets, milliseconds; 0 if it sets none.</summary>
    public int SetUserTimeout => UserTimeout.Mode == UserTimeoutMode.Set && !IsJudgedOnly ? UserTimeout.Milliseconds : 0;

    /// <summary>Whether the agent does not enforce it, with or without annotations.</summary>
    public bool IsJudgedOnly => this is { Source: ProxyPolicy, Destinations: 0 };

    /// <summary>Returns the patches of an EnvoyFilter that have these values, like <c>spec.configPatches[1]</c>; empty for other kinds.</summary>
    public IEnumerable<string> PatchesWith(KeepaliveSettings settings) => Source is ProxyPolicy { Kind: ProxyPolicy.EnvoyFilter } filter
        ? filter.Keepalives.Where(one => Written.Any(written => ReferenceEquals(written.Keepalive, one.Keepalive) && written.Settings == settings))
            .Select(static one => one.Path[..(one.Path.IndexOf(']', StringComparison.Ordinal) + 1)]).Distinct()
        : [];

    /// <summary>Every <c>tcpKeepalive</c> of the policy, with the values to set.</summary>
    internal ImmutableArray<(TcpKeepalive Keepalive, KeepaliveSettings Settings)> Written { get; init; } = [];
}

/// <summary>Ports of a policy's destinations with the same values.</summary>
/// <param name="Settings">The values; null if the policy sets nothing on these ports.</param>
/// <param name="Ports">The ports; null among them is any other.</param>
public sealed record PortGroup(KeepaliveSettings? Settings, ImmutableArray<long?> Ports);

/// <summary>Facts about one destination.</summary>
/// <param name="Destination"><c>namespace/name</c>.</param>
/// <param name="Kind">The kind of object.</param>
/// <param name="Position">Where it is written.</param>
/// <param name="Policies">The policies that select it, the one with precedence first.</param>
/// <param name="Addresses">Distinct prefixes it has; 0 means no socket can be matched to it.</param>
public sealed record DestinationSummary(
    string Destination, string Kind, SourcePosition Position, ImmutableArray<string> Policies, int Addresses);
