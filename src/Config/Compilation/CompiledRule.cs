namespace Keepalive.Config.Compilation;

/// <summary>One policy's settings for one prefix and port.</summary>
public sealed record CompiledRule
{
    /// <summary>The policy: <c>namespace/name</c>, with the kind in front if it is not a ConnectionPolicy.</summary>
    public required string Policy { get; init; }

    /// <summary>The destination the prefix belongs to, <c>namespace/name</c>.</summary>
    public required string Destination { get; init; }

    /// <summary>The values to set.</summary>
    public required KeepaliveSettings Settings { get; init; }

    /// <summary>
    /// The policy's own choice for sockets that have keepalive on already; null leaves it to the agent's <c>--existing</c>.
    /// </summary>
    public ExistingMode? Existing { get; init; }

    /// <summary>The treatment of a TCP_USER_TIMEOUT that is too short for the policy's values.</summary>
    public UserTimeoutChoice UserTimeout { get; init; }

    /// <summary>The workloads whose connections it is for, as a selector or an object with an annotation; empty for all.</summary>
    public string From { get; init; } = "";

    /// <summary>The addresses it covers.</summary>
    public required IpPrefix Prefix { get; init; }

    /// <summary>The port it covers; 0 is any port.</summary>
    public required ushort Port { get; init; }

    /// <summary>Whether it sets nothing, and keeps its policy's rule for any port away from its port.</summary>
    public bool IsExemption { get; init; }

    /// <summary>The origin of the values that the policy itself does not have, such as <c>interval by MeshConfig/istio-system/istio</c>;
    /// empty if there are none.</summary>
    public string Inherited { get; init; } = "";

    /// <summary>Where the policy is written.</summary>
    public required SourcePosition Position { get; init; }

    /// <summary>The source of these addresses: <c>annotation</c>, <c>host db.example.com</c>, an object.</summary>
    public string Origin { get; init; } = "";

    /// <summary>Whether it is for the connections that no other rule selects (<see cref="CompiledPolicy.Fallback"/>).</summary>
    public bool IsFallback { get; init; }

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
