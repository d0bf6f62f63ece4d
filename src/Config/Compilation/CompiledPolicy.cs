using System.Collections.Immutable;

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

    internal CompiledPolicy(
        ImmutableArray<CompiledRule> rules, ImmutableArray<LostRule> shadowed, Side side, ImmutableArray<CompiledRule> listenerRules = default,
        ImmutableArray<CompiledRule> exemptions = default)
    {
        Rules = rules;
        Exemptions = exemptions.IsDefault ? [] : exemptions;
        Shadowed = shadowed;
        Side = side;
        ListenerRules = listenerRules.IsDefault ? [] : listenerRules;
        _table = new RuleTable(rules.AddRange(Exemptions));
        _listeners = ListenerRules.IsEmpty || side != Side.Both ? null : new RuleTable(ListenerRules);
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

    /// <summary>All rules for remote ends.</summary>
    public ImmutableArray<CompiledRule> AllRules => Fallback.IsEmpty ? Rules : Rules.AddRange(Fallback);

    /// <summary>Rules that lost their prefix and port to another; only of use to explain a choice.</summary>
    public ImmutableArray<LostRule> Shadowed { get; }

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

    /// <summary>These rules, and below them one for all other connections that leave their host.</summary>
    /// <param name="settings">The values to set; null for no such rule.</param>
    /// <param name="source">The option that it comes from, with its value.</param>
    public CompiledPolicy WithFallback(KeepaliveSettings? settings, string source)
    {
        if (settings is not { } values)
        {
            return this;
        }

        return new CompiledPolicy(Rules, Shadowed, Side, ListenerRules)
        {
            Fallback = [Rule(new IpPrefix(Endpoint.MappedPrefix, 0, IsIPv4: true)), Rule(new IpPrefix(0, 0, IsIPv4: false))],
        };

        CompiledRule Rule(IpPrefix prefix) => new()
        {
            Policy = "command-line/keepalive",
            Destination = "command-line/other-hosts",
            Settings = values,
            Prefix = prefix,
            Port = 0,
            Position = new SourcePosition(source, 0, 0),
            Origin = "the command line",
            IsFallback = true,
        };
    }

    private CompiledRule? FindFallback(in Endpoint local, in Endpoint remote) =>
        remote.Port == 0 || Endpoint.StayOnHost(local.Address, remote.Address) ? null : Fallback[Endpoint.IsMapped(remote.Address) ? 0 : 1];
}
