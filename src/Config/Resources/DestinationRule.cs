using System.Collections.Immutable;

namespace Keepalive.Config.Resources;

/// <summary>An Istio DestinationRule (networking.istio.io): settings for connections to one host, or to those a wildcard covers.</summary>
public sealed record DestinationRule : Policy
{
    /// <summary>The value of <c>kind</c>.</summary>
    public const string KindName = "DestinationRule";

    /// <inheritdoc/>
    public override string Kind => KindName;

    /// <summary>The host: a full name, a short one in its own namespace, or a wildcard such as <c>*.example.com</c>.</summary>
    public required Positioned<string> Host { get; init; }

    /// <summary><c>trafficPolicy.connectionPool.tcp</c>, or null.</summary>
    public TcpConfig? Tcp { get; init; }

    /// <summary>Settings of single ports, which replace those above wholesale: what they leave out is not set.</summary>
    public ImmutableArray<PortLevelSettings> PortLevelSettings { get; init; } = [];

    /// <summary>Whether it has a <c>trafficPolicy</c>. Of two rules for one host, the one without any leaves the host to the other.</summary>
    public bool HasTrafficPolicy { get; init; }

    /// <summary>Whether it is for some clients only.</summary>
    public bool HasWorkloadSelector { get; init; }

    /// <summary>The namespaces whose clients get it: names, <c>.</c> for its own, <c>*</c> for all; empty for all.</summary>
    public ImmutableArray<string> ExportTo { get; init; } = [];

    /// <summary>The host in full: a name without a dot is one of the Services of the rule's own namespace.</summary>
    public string FullHost =>
        Host.Value.Contains('.', StringComparison.Ordinal) || Host.Value == "*" ? Host.Value : $"{Host.Value}.{Metadata.Namespace}.svc.cluster.local";

    /// <summary>Whether the host stands for many.</summary>
    public bool IsWildcard => Host.Value.StartsWith('*');

    /// <summary>What it says of keepalive for a port, or for every other port; null for nothing.</summary>
    internal TcpKeepalive? KeepaliveOf(long? port)
    {
        foreach (var settings in PortLevelSettings)
        {
            if (settings.Port == port)
            {
                return settings.Tcp?.TcpKeepalive;
            }
        }

        return Tcp?.TcpKeepalive;
    }

    /// <summary>Whether the host covers a name.</summary>
    public bool Covers(string host)
    {
        ArgumentNullException.ThrowIfNull(host);
        var full = FullHost;
        return IsWildcard
            ? full.Length == 1 || host.EndsWith(full[1..], StringComparison.OrdinalIgnoreCase)
            : host.Equals(full, StringComparison.OrdinalIgnoreCase);
    }
}

/// <summary>One entry of <c>portLevelSettings</c>.</summary>
/// <param name="Port">The service's port number.</param>
/// <param name="Tcp"><c>connectionPool.tcp</c>, or null.</param>
/// <param name="Position">Where the entry starts.</param>
public sealed record PortLevelSettings(long Port, TcpConfig? Tcp, SourcePosition Position);
