namespace Keepalive.Config.Resources;

/// <summary><c>spec.config.tcp</c> of a ConnectionPolicy.</summary>
public sealed record TcpConfig
{
    /// <summary>Connections a proxy opens at most.</summary>
    public Positioned<long>? MaxConnections { get; init; }

    /// <summary>How long a proxy waits for a connection; a duration of at least 1ms.</summary>
    public Positioned<string>? ConnectTimeout { get; init; }

    /// <summary>How long a proxy keeps a connection; a duration of at least 1ms.</summary>
    public Positioned<string>? MaxConnectionDuration { get; init; }

    /// <summary>The keepalive settings; null when the policy has none and so enforces nothing.</summary>
    public TcpKeepalive? TcpKeepalive { get; init; }
}

/// <summary>How a kind of resource calls the three values.</summary>
/// <param name="Probes">Unanswered probes before the connection ends.</param>
/// <param name="Time">Idle time before the first probe.</param>
/// <param name="Interval">Time between probes.</param>
public sealed record KeepaliveNames(string Probes, string Time, string Interval)
{
    /// <summary>The names of Istio and Gloo Mesh.</summary>
    public static KeepaliveNames Usual { get; } = new("probes", "time", "interval");

    /// <summary>Whether times are plain numbers of seconds, as in Envoy's own configuration.</summary>
    public bool IsInSeconds { get; init; }

    /// <summary>Whether the values are those of socket options, which have no other names than their numbers.</summary>
    public bool IsOfOptions { get; init; }

    /// <summary>The text that sets one of the values, in seconds.</summary>
    internal string Seconds(string name, long? seconds, string more = "") => Write(name, IsInSeconds ? $"{seconds}" : $"{seconds}s", more);

    /// <summary>The text that sets one of the values.</summary>
    internal string Write(string name, string value, string more = "") => IsOfOptions ? $"int_value: {value}{more} for {name}" : $"{name}: {value}{more}";
}

/// <summary><c>tcpKeepalive</c> as written. Empty means: on, with the socket's own values.</summary>
public sealed record TcpKeepalive
{
    /// <summary>Unanswered probes before the connection is given up; 0 leaves the socket's own value, as Istio has it.</summary>
    public Positioned<long>? Probes { get; init; }

    /// <summary>Idle time before the first probe: a duration as <see cref="GoDuration"/> reads it.</summary>
    public Positioned<string>? Time { get; init; }

    /// <summary>Time between unanswered probes: a duration as <see cref="GoDuration"/> reads it.</summary>
    public Positioned<string>? Interval { get; init; }

    /// <summary>TCP_USER_TIMEOUT in milliseconds, which only Envoy's socket options have; 0 is none.</summary>
    public Positioned<long>? UserTimeout { get; init; }

    /// <summary>Where it is written.</summary>
    public SourcePosition Position { get; init; }

    /// <summary>The names of the values.</summary>
    public KeepaliveNames Names { get; init; } = KeepaliveNames.Usual;
}
