namespace Keepalive.Config.Resources;

/// <summary>The workload at the client's end of connections, as far as policies ask for it: a pod. Two with the same content are equal.</summary>
public sealed class ClientWorkload : IEquatable<ClientWorkload>
{
    private readonly Dictionary<string, string> _labels;
    private readonly int _hash;

    /// <param name="ns">Its Kubernetes namespace.</param>
    /// <param name="labels">Its labels.</param>
    /// <param name="own">The values that it has chosen for its own connections; null for none.</param>
    public ClientWorkload(string ns, IEnumerable<KeyValuePair<string, string>> labels, OwnKeepalive? own = null)
    {
        Namespace = ns;
        Own = own;
        _labels = new Dictionary<string, string>(StringComparer.Ordinal);
        var hash = HashCode.Combine(ns, own);
        foreach (var (key, value) in labels)
        {
            _labels[key] = value;
            hash ^= HashCode.Combine(key, value);   // in any order
        }

        _hash = hash;
    }

    /// <summary>Its Kubernetes namespace.</summary>
    public string Namespace { get; }

    /// <summary>Its labels.</summary>
    public IReadOnlyDictionary<string, string> Labels => _labels;

    /// <summary>The values that it has chosen for its own connections; null for none.</summary>
    public OwnKeepalive? Own { get; }

    /// <inheritdoc/>
    public bool Equals(ClientWorkload? other) =>
        ReferenceEquals(this, other)
        || (other is not null && _hash == other._hash && Namespace == other.Namespace && Own == other.Own && _labels.Count == other._labels.Count
            && _labels.All(pair => other._labels.TryGetValue(pair.Key, out var value) && value == pair.Value));

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as ClientWorkload);

    /// <inheritdoc/>
    public override int GetHashCode() => _hash;
}

/// <summary>The values that a pod, or its namespace, has chosen by <see cref="AgentAnnotations.Keepalive"/>.</summary>
/// <param name="Settings">The values, all of them set.</param>
/// <param name="Origin">The object with the annotation, such as <c>pod shop/web-0</c> or <c>namespace shop</c>.</param>
public sealed record OwnKeepalive(KeepaliveSettings Settings, string Origin);
