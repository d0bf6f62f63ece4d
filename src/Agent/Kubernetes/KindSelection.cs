namespace Keepalive.Agent.Kubernetes;

/// <summary>Which objects of a kind are wanted.</summary>
/// <param name="Namespace">The only namespace to look into; null is all of them.</param>
/// <param name="Query">What else to ask for, such as <c>fieldSelector=…</c>; empty is all.</param>
internal sealed record KindSelection(string? Namespace, string Query)
{
    public static KindSelection All { get; } = new(null, "");

    /// <summary>The path and query of a request for them.</summary>
    public string Request(WatchedKind kind, string version, IEnumerable<string> query)
    {
        var path = kind.Path(version);
        if (Namespace is not null)
        {
            path = $"{path[..^kind.Plural.Length]}namespaces/{Namespace}/{kind.Plural}";
        }
        return $"{path}?{string.Join('&', Query.Length > 0 ? query.Append(Query) : query)}";
    }
}
