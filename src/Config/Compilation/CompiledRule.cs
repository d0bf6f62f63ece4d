using System.Diagnostics.CodeAnalysis;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>One policy's settings for one prefix and port.</summary>
/// <remarks>A large cluster has a hundred thousand of them: what many addresses of a destination have in common is one object.</remarks>
public sealed record CompiledRule
{
    private readonly ulong _upper;
    private readonly ulong _lower;
    private readonly byte _length;
    private readonly bool _isIPv4;
    private RuleTerms _terms;

    /// <summary>Creates a rule whose properties are set by an initializer.</summary>
    public CompiledRule() => _terms = RuleTerms.None;

#pragma warning disable CS8618 // The terms have the policy and the destination.
    [SetsRequiredMembers]
    internal CompiledRule(RuleTerms terms, in WireAddress address, bool isExemption = false)
    {
        _terms = terms;
        (Prefix, Port, IsExemption) = (address.Prefix, address.Port, isExemption);
    }
#pragma warning restore CS8618

    /// <summary>The policy: <c>namespace/name</c>, with the kind in front if it is not a ConnectionPolicy.</summary>
    public required string Policy { get => _terms.Policy; init => _terms = _terms with { Policy = value }; }

    /// <summary>The destination the prefix belongs to, <c>namespace/name</c>.</summary>
    public required string Destination { get => _terms.Destination; init => _terms = _terms with { Destination = value }; }

    /// <summary>The values to set.</summary>
    public required KeepaliveSettings Settings { get => _terms.Settings; init => _terms = _terms with { Settings = value }; }

    /// <summary>
    /// The policy's own choice for sockets that have keepalive on already; null leaves it to the agent's <c>--existing</c>.
    /// </summary>
    public ExistingMode? Existing { get => _terms.Existing; init => _terms = _terms with { Existing = value }; }

    /// <summary>The treatment of a TCP_USER_TIMEOUT that is too short for the policy's values.</summary>
    public UserTimeoutChoice UserTimeout { get => _terms.UserTimeout; init => _terms = _terms with { UserTimeout = value }; }

    /// <summary>The workloads whose connections it is for, as a selector or an object with an annotation; empty for all.</summary>
    public string From { get => _terms.From; init => _terms = _terms with { From = value }; }

    /// <summary>The addresses it covers.</summary>
    public required IpPrefix Prefix
    {
        get => new(new UInt128(_upper, _lower), _length, _isIPv4);
        init => (_upper, _lower, _length, _isIPv4) = ((ulong)(value.Address >> 64), (ulong)value.Address, (byte)value.Length, value.IsIPv4);
    }

    /// <summary>The port it covers; 0 is any port.</summary>
    public required ushort Port { get; init; }

    /// <summary>Whether it sets nothing, and keeps its policy's rule for any port away from its port.</summary>
    public bool IsExemption { get; init; }

    /// <summary>The origin of the values that the policy itself does not have, such as <c>interval by MeshConfig/istio-system/istio</c>;
    /// empty if there are none.</summary>
    public string Inherited { get => _terms.Inherited; init => _terms = _terms with { Inherited = value }; }

    /// <summary>Where the policy is written.</summary>
    public required SourcePosition Position { get => _terms.Position; init => _terms = _terms with { Position = value }; }

    /// <summary>The source of these addresses: <c>annotation</c>, <c>host db.example.com</c>, an object.</summary>
    public string Origin { get => _terms.Origin; init => _terms = _terms with { Origin = value }; }

    /// <summary>Whether it is for the connections that no other rule selects (<see cref="CompiledPolicy.Fallback"/>).</summary>
    public bool IsFallback { get => _terms.IsFallback; init => _terms = _terms with { IsFallback = value }; }

    /// <summary>Everything but the prefix and the port. Rules that a compilation makes for one destination share it.</summary>
    internal RuleTerms Terms => _terms;

    internal ulong Upper => _upper;

    internal ulong Lower => _lower;

    /// <summary>Family, prefix length and port in one number.</summary>
    internal uint Key => ((uint)Port << 16) | ((uint)_length << 1) | (_isIPv4 ? 1u : 0u);

    /// <summary>Whether its address is the own address of a Service, which has endpoints behind it.</summary>
    public bool IsOfService => Origin.StartsWith(ServiceAddresses.Kind, StringComparison.Ordinal);

    /// <summary>Whether it covers an address and a port.</summary>
    public bool Covers(UInt128 address, ushort port) => Prefix.Contains(address) && (Port == 0 || Port == port);

    /// <summary><c>203.0.113.10:15443 → bookinfo/tcp-keepalive</c> and so on, for logs and tests.</summary>
    public override string ToString()
    {
        var existing = Existing is { } mode ? $" existing {mode.ToString().ToLowerInvariant()}" : "";
        var timeout = UserTimeout.Mode == UserTimeoutMode.Keep ? "" : $" user timeout {UserTimeout}";
        var from = From.Length == 0 ? "" : $" from {From}";
        return $"{IpPrefix.Format(Prefix, Port)} {Policy} {Destination} {Settings}{existing}{timeout}{from}";
    }
}

/// <summary>A rule that is not in force, and why.</summary>
/// <param name="Rule">The rule.</param>
/// <param name="Reason">Why another applies, one line.</param>
public sealed record LostRule(CompiledRule Rule, string Reason)
{
    /// <summary>As <see cref="CompiledRule.ToString"/>.</summary>
    public override string ToString() => Rule.ToString();
}

/// <summary>The part that rules for different addresses have in common.</summary>
/// <param name="Of">The part of their policy.</param>
/// <param name="Destination">As <see cref="CompiledRule.Destination"/>.</param>
/// <param name="Origin">As <see cref="CompiledRule.Origin"/>.</param>
internal sealed record RuleTerms(PolicyTerms Of, string Destination, string Origin)
{
    public static RuleTerms None { get; } = new(new PolicyTerms("", default, default), "", "");

    public string Policy { get => Of.Policy; init => Of = Of with { Policy = value }; }

    public KeepaliveSettings Settings { get => Of.Settings; init => Of = Of with { Settings = value }; }

    public SourcePosition Position { get => Of.Position; init => Of = Of with { Position = value }; }

    public ExistingMode? Existing { get => Of.Existing; init => Of = Of with { Existing = value }; }

    public UserTimeoutChoice UserTimeout { get => Of.UserTimeout; init => Of = Of with { UserTimeout = value }; }

    public string From { get => Of.From; init => Of = Of with { From = value }; }

    public string Inherited { get => Of.Inherited; init => Of = Of with { Inherited = value }; }

    public bool IsFallback { get => Of.IsFallback; init => Of = Of with { IsFallback = value }; }

    /// <inheritdoc cref="PolicyTerms.Owner"/>
    public RankedPolicy? Owner => Of.Owner;

    public bool Equals(RuleTerms? other) => ReferenceEquals(this, other)
        || (other is not null && Destination == other.Destination && Origin == other.Origin && (ReferenceEquals(Of, other.Of) || Of.Equals(other.Of)));

    public override int GetHashCode() => HashCode.Combine(Policy, Destination, Settings, Origin);

    /// <summary>The terms of a policy for a destination.</summary>
    public static RuleTerms For(RankedPolicy policy, Destination destination, KeepaliveSettings settings, string origin, string inherited = "") =>
        new(policy.TermsOfRules(settings, inherited), destination.QualifiedName, origin);
}

/// <summary>The part that rules of a policy have in common.</summary>
/// <param name="Policy">As <see cref="CompiledRule.Policy"/>.</param>
/// <param name="Settings">As <see cref="CompiledRule.Settings"/>.</param>
/// <param name="Position">As <see cref="CompiledRule.Position"/>.</param>
internal sealed record PolicyTerms(string Policy, KeepaliveSettings Settings, SourcePosition Position)
{
    public ExistingMode? Existing { get; init; }

    public UserTimeoutChoice UserTimeout { get; init; }

    public string From { get; init; } = "";

    public string Inherited { get; init; } = "";

    public bool IsFallback { get; init; }

    /// <summary>The policy itself; null for rules that no compilation has made. It is no part of the value.</summary>
    public RankedPolicy? Owner { get; init; }

    public bool Equals(PolicyTerms? other) => ReferenceEquals(this, other) || (other is not null && Policy == other.Policy
        && Settings == other.Settings && Position == other.Position && Existing == other.Existing && UserTimeout == other.UserTimeout && From == other.From
        && Inherited == other.Inherited && IsFallback == other.IsFallback);

    public override int GetHashCode() => HashCode.Combine(Policy, Settings);
}
