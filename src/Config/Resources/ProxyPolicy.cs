using System.Collections.Immutable;

namespace Keepalive.Config.Resources;

/// <summary>
/// A resource that configures the keepalive of a proxy: of Envoy Gateway, of kgateway, of Gloo Edge, or an Istio EnvoyFilter. Its values are
/// judged. It is a policy where the objects it is attached to are known.
/// </summary>
public sealed record ProxyPolicy : Policy
{
    /// <summary>Envoy Gateway's policy for connections to backends.</summary>
    public const string BackendTrafficPolicy = "BackendTrafficPolicy";

    /// <summary>Envoy Gateway's policy for connections that a Gateway accepts.</summary>
    public const string ClientTrafficPolicy = "ClientTrafficPolicy";

    /// <summary>kgateway's policy for connections to backends.</summary>
    public const string BackendConfigPolicy = "BackendConfigPolicy";

    /// <summary>Gloo Edge's backend.</summary>
    public const string Upstream = "Upstream";

    /// <summary>Istio's patch of a proxy's configuration.</summary>
    public const string EnvoyFilter = "EnvoyFilter";

    private string _kind = "";

    /// <summary>Its kind, which is one of the names above.</summary>
    public required string Of
    {
        get => _kind;
        init => _kind = value;
    }

    /// <inheritdoc/>
    public override string Kind => _kind;

    /// <summary>The keepalive settings, each with its path.</summary>
    public ImmutableArray<(string Path, TcpKeepalive Keepalive)> Keepalives { get; init; } = [];

    /// <summary>The objects that it is attached to.</summary>
    public ImmutableArray<ProxyTarget> Targets { get; init; } = [];

    /// <summary>Addresses or host names with ports that are written into it.</summary>
    public ImmutableArray<(Positioned<string> Address, long Port)> StaticHosts { get; init; } = [];

    /// <summary>Whether it is for connections that are accepted.</summary>
    public bool IsAccepted => _kind == ClientTrafficPolicy;
}

/// <summary>One object that a proxy's policy is attached to.</summary>
/// <param name="Kind">Its kind.</param>
/// <param name="Namespace">Its namespace.</param>
/// <param name="Name">Its name; null for every object with the labels.</param>
/// <param name="Labels">The labels it must have.</param>
/// <param name="Section">The name of a listener of a Gateway, a rule of a route, or a port of a Service; null for all.</param>
/// <param name="Port">The port number of a Service; null for all.</param>
public sealed record ProxyTarget(
    string Kind, string Namespace, string? Name, ImmutableArray<KeyValuePair<string, string>> Labels, string? Section, long? Port)
{
    /// <summary>Whether an object is selected.</summary>
    internal bool Matches(string kind, ObjectMetadata metadata)
    {
        if (kind != Kind || metadata.Namespace != Namespace || (Name is { } name && name != metadata.Name.Value))
        {
            return false;
        }

        foreach (var (key, value) in Labels)
        {
            if (!metadata.Labels.TryGetValue(key, out var actual) || actual != value)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary><c>Gateway shop/eg</c>, or <c>any HTTPRoute in shop with the label app=web</c>.</summary>
    public override string ToString() => Name is not null ? $"{Kind} {Namespace}/{Quoting.Shorten(Name)}"
        : Labels.IsEmpty ? $"any {Kind} in {Namespace}"
        : $"any {Kind} in {Namespace} with the label{(Labels.Length == 1 ? "" : "s")} {Quoting.Shorten(string.Join(", ", Labels.Select(static label => $"{label.Key}={label.Value}")))}";
}
