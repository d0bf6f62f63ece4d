namespace Keepalive.Agent.Kubernetes;

/// <summary>The wanted objects of a kind.</summary>
/// <param name="Namespace">The only namespace to read; null for all.</param>
/// <param name="Query">A further condition, such as <c>fieldSelector=…</c>; empty for none.</param>
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
