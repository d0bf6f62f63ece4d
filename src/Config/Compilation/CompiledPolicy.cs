using System.Collections.Immutable;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>Everything the policies amount to: immutable, and safe to read from any thread.</summary>
/// <remarks>
/// Replace it whole by writing one volatile reference. A socket's remote end is looked up like this:
/// <code>
///   port has rules of its own? ── yes ─► longest prefix first: (prefix, port) ─► rule
///             │ no / none
///             └─────────────────────────► longest prefix first: (prefix, any) ─► rule
///                                                                       │ none
///                                                                       └──────► fallback, unless the connection stays on its host
/// </code>
/// </remarks>
public sealed class CompiledPolicy
{
    private readonly RuleTable _table;
    private readonly RuleTable? _listeners;
    private readonly Lazy<ImmutableArray<LostRule>> _shadowed;
    private HashSet<(string, string)>? _pairs;
    private HashSet<string>? _policies;

    internal CompiledPolicy(
        ImmutableArray<CompiledRule> rules, ImmutableArray<LostRule> shadowed, Side side, ImmutableArray<CompiledRule> listenerRules = default,
        ImmutableArray<CompiledRule> exemptions = default)
        : this(rules, new Lazy<ImmutableArray<LostRule>>(shadowed), side, listenerRules, exemptions, null)
    {
    }

    /// <param name="rules">The rules in force.</param>
    /// <param name="shadowed">The rules that lost, which are found when somebody asks.</param>
    /// <param name="side">Which ends are looked at.</param>
    /// <param name="listenerRules">The rules for accepted connections.</param>
    /// <param name="exemptions">The ports that policies keep free.</param>
    /// <param name="table">The rules and exemptions as a table; null to make it.</param>
    internal CompiledPolicy(
        ImmutableArray<CompiledRule> rules, Lazy<ImmutableArray<LostRule>> shadowed, Side side, ImmutableArray<CompiledRule> listenerRules,
        ImmutableArray<CompiledRule> exemptions, RuleTable? table)
    {
        Rules = rules;
        Exemptions = exemptions.IsDefault ? [] : exemptions;
        _shadowed = shadowed;
        Side = side;
        ListenerRules = listenerRules.IsDefault ? [] : listenerRules;
        _table = table ?? new RuleTable(rules, Exemptions);
        _listeners = ListenerRules.IsEmpty || side != Side.Both ? null : new RuleTable(ListenerRules, []);
    }

    /// <summary>No rules: nothing matches.</summary>
    public static CompiledPolicy Empty { get; } = new([], [], Side.Client);

    /// <summary>The rules in force, at most one for each prefix and port.</summary>
    public ImmutableArray<CompiledRule> Rules { get; }

    /// <summary>The prefixes and ports that a DestinationRule owns and sets nothing on: its own rule for any port does not cover them.</summary>
    public ImmutableArray<CompiledRule> Exemptions { get; }

    /// <summary>The rules for accepted connections only, looked at with <see cref="Side.Both"/>.</summary>
    public ImmutableArray<CompiledRule> ListenerRules { get; }

    /// <summary>The rules for connections that no other rule selects, one for IPv4 and one for IPv6; empty if there is none. They do not select
    /// connections that do not leave their host.</summary>
    public ImmutableArray<CompiledRule> Fallback { get; private init; } = [];

    /// <summary>The rules for connections of certain workloads only. <see cref="For"/> puts them in force.</summary>
    public ImmutableArray<SourceRules> BySource { get; init; } = [];

    /// <summary>Whether workloads may choose values of their own (<see cref="ClientWorkload.Own"/>).</summary>
    public bool AllowsOwn { get; init; }

    /// <summary>Whether connections of different workloads may have different rules.</summary>
    public bool DependsOnSource => AllowsOwn || !BySource.IsEmpty;

    /// <summary>All rules for remote ends, whatever workloads they are for. Those that workloads choose are there without their values.</summary>
    public ImmutableArray<CompiledRule> AllRules => BySource.IsEmpty && !AllowsOwn && Fallback.IsEmpty
        ? Rules
        : [.. Rules, .. BySource.SelectMany(static source => source.Rules), .. AllowsOwn ? OwnRules(default, "") : [], .. Fallback];

    /// <summary>The policies that have a rule.</summary>
    public IReadOnlySet<string> Policies => _policies ??= PoliciesOf(AllRules);

    /// <summary>The policies and destinations of <see cref="AllRules"/>, each pair once.</summary>
    public IReadOnlySet<(string Policy, string Destination)> Pairs => _pairs ??= PairsOf(AllRules);

    /// <summary>Rules that lost their prefix and port to another; only of use to explain a choice.</summary>
    public ImmutableArray<LostRule> Shadowed => _shadowed.Value;

    /// <summary>Which ends of a connection are looked at.</summary>
    public Side Side { get; }

    /// <summary>The rule for a socket, or null.</summary>
    /// <param name="local">The socket's own end; looked at only with <see cref="Side.Both"/>: first for what it listens on, as such rules
    /// name a port of their own, and for destinations after the remote end.</param>
    /// <param name="remote">The other end.</param>
    /// <remarks>An exact port beats any port, then the longer prefix wins. Allocates nothing.</remarks>
    public CompiledRule? Match(in Endpoint local, in Endpoint remote)
    {
        if (_listeners?.Find(local) is { } accepted)
        {
            return accepted;
        }

        var rule = _table.Find(remote);
        rule = rule is null && Side == Side.Both ? _table.Find(local) : rule;
        return rule is null && !Fallback.IsEmpty ? FindFallback(local, remote) : rule;
    }

    /// <summary>The name of the policy of <see cref="Fallback"/>.</summary>
    public const string FallbackName = "command-line/keepalive";

    /// <summary>These rules, and below them one for all other connections that leave their host.</summary>
    /// <param name="settings">The values to set; null for no such rule.</param>
    /// <param name="source">The option that it comes from, with its value.</param>
    public CompiledPolicy WithFallback(KeepaliveSettings? settings, string source)
    {
        if (settings is not { } values)
        {
            return this;
        }

        return new CompiledPolicy(Rules, _shadowed, Side, ListenerRules, Exemptions, _table)
        {
            BySource = BySource,
            AllowsOwn = AllowsOwn,
            Fallback = AnyAddress(new CompiledRule
            {
                Policy = FallbackName,
                Destination = "command-line/other-hosts",
                Settings = values,
                Prefix = default,
                Port = 0,
                Position = new SourcePosition(source, 0, 0),
                Origin = "the command line",
                IsFallback = true,
            }),
        };
    }

    /// <summary>The same, with values that workloads may choose for their own connections.</summary>
    public CompiledPolicy WithOwn() => new(Rules, _shadowed, Side, ListenerRules, Exemptions, _table) { BySource = BySource, AllowsOwn = true, Fallback = Fallback };

    /// <summary>The rules for the connections of one workload.</summary>
    /// <param name="workload">The workload.</param>
    /// <returns>This object, if nothing is different for it.</returns>
    /// <remarks>
    /// A rule for certain workloads replaces a rule for all at the same prefix and port. Of two that are for the same workload, the one with the
    /// shorter time is in force. Values that a workload chooses are for any address and port, below all rules for some.
    /// </remarks>
    public CompiledPolicy For(ClientWorkload workload)
    {
        ArgumentNullException.ThrowIfNull(workload);
        var chosen = BySource.Where(source => source.From.Matches(workload)).ToList();
        return With(chosen, AllowsOwn ? workload.Own : null);
    }

    /// <summary>A text that is the same for workloads with the same rules; empty if nothing is different for it.</summary>
    public string KeyOf(ClientWorkload workload)
    {
        ArgumentNullException.ThrowIfNull(workload);
        var key = "";
        for (var i = 0; i < BySource.Length; i++)
        {
            key += BySource[i].From.Matches(workload) ? $"{i} " : "";
        }

        return AllowsOwn && workload.Own is { } own ? $"{key}{KeepaliveText.Format(own.Settings)} {own.Origin}" : key;
    }

    /// <summary>All rules that may be in force for some workload: whether one may select a connection whose workload is not known yet.</summary>
    public CompiledPolicy ForAny() => With(BySource, AllowsOwn ? new OwnKeepalive(default, "") : null);

    private CompiledPolicy With(IReadOnlyCollection<SourceRules> chosen, OwnKeepalive? own)
    {
        if (chosen.Count == 0 && own is null)
        {
            return this;
        }

        var special = new Dictionary<(IpPrefix Prefix, ushort Port), CompiledRule>();
        foreach (var rule in chosen.SelectMany(static source => source.Rules))
        {
            var where = (rule.Prefix, rule.Port);
            if (!special.TryGetValue(where, out var other) || (rule.Settings.Time ?? int.MaxValue) < (other.Settings.Time ?? int.MaxValue))
            {
                special[where] = rule;
            }
        }

        var isReplaced = (CompiledRule rule) =>
            special.ContainsKey((rule.Prefix, rule.Port)) || (own is not null && rule is { Prefix.Length: 0, Port: 0 });
        var isSame = special.Count == 0 && !Rules.Any(isReplaced);
        ImmutableArray<CompiledRule> rules = isSame
            ? Rules
            : [.. Rules.Where(rule => !isReplaced(rule)), .. special.Values.Where(rule => own is null || rule is not { Prefix.Length: 0, Port: 0 })];
        // Many workloads may differ by values of their own only: the table of a large policy is not made anew for each.
        return new CompiledPolicy(
            rules, _shadowed, Side, ListenerRules, [.. Exemptions.Where(rule => !special.ContainsKey((rule.Prefix, rule.Port)))], isSame ? _table : null)
        {
            Fallback = own is null ? Fallback : OwnRules(own.Settings, own.Origin),
        };
    }

    private static HashSet<string> PoliciesOf(ImmutableArray<CompiledRule> rules)
    {
        var policies = new HashSet<string>();
        string? last = null;
        foreach (var rule in rules)
        {
            if (!ReferenceEquals(last, rule.Policy))
            {
                policies.Add(last = rule.Policy);
            }
        }

        return policies;
    }

    private static HashSet<(string, string)> PairsOf(ImmutableArray<CompiledRule> rules)
    {
        var pairs = new HashSet<(string, string)>();
        RuleTerms? last = null;
        foreach (var rule in rules)
        {
            if (last is null || !ReferenceEquals(last, rule.Terms))
            {
                // The rules of a destination follow each other.
                last = rule.Terms;
                pairs.Add((last.Policy, last.Destination));
            }
        }

        return pairs;
    }

    private static ImmutableArray<CompiledRule> OwnRules(KeepaliveSettings settings, string origin) => AnyAddress(new CompiledRule
    {
        Policy = "annotation/keepalive",
        Destination = "annotation/other-hosts",
        Settings = settings,
        Prefix = default,
        Port = 0,
        Position = new SourcePosition(origin, 0, 0),
        From = origin,
        Origin = $"annotation {AgentAnnotations.Keepalive}",
        IsFallback = true,
    });

    private static ImmutableArray<CompiledRule> AnyAddress(CompiledRule rule) =>
    [
        rule with { Prefix = new IpPrefix(Endpoint.MappedPrefix, 0, IsIPv4: true) },
        rule with { Prefix = new IpPrefix(0, 0, IsIPv4: false) },
    ];

    private CompiledRule? FindFallback(in Endpoint local, in Endpoint remote) =>
        remote.Port == 0 || Endpoint.StayOnHost(local.Address, remote.Address) ? null : Fallback[Endpoint.IsMapped(remote.Address) ? 0 : 1];
}
