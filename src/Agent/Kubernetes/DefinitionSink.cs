using System.Buffers;

namespace Keepalive.Agent.Kubernetes;

/// <summary>The custom resource definitions of the server. Informs the watch of a kind when its definition is added or removed.</summary>
internal sealed class DefinitionSink(IReadOnlyDictionary<string, KindWatch> byDefinition) : IObjectSink
{
    private HashSet<string> _known = [];
    private HashSet<string> _listed = [];

    public void BeginList() => _listed = [];

    public void Take(ApiMetadata head, string apiVersion, in ReadOnlySequence<byte> json)
    {
        _listed.Add(head.Name!);
        // This also runs for a known definition. The first event comes before the server can serve the kind, and another one follows when
        // it can.
        _known.Add(head.Name!);
        if (byDefinition.TryGetValue(head.Name!, out var watch))
        {
            watch.DefinitionCame();
        }
    }

    public void EndList()
    {
        foreach (var gone in _known.Except(_listed).ToList())
        {
            Remove(gone);
        }
        _known = _listed;
        foreach (var (_, watch) in byDefinition.Where(pair => !_known.Contains(pair.Key)))
        {
            watch.NotDefined();
        }
    }

    public void Remove(ApiMetadata head) => Remove(head.Name!);

    public void Clear()
    {
        // The kinds themselves are still requested.
        _known.Clear();
    }

    private void Remove(string name)
    {
        _known.Remove(name);
        if (byDefinition.TryGetValue(name, out var watch))
        {
            watch.DefinitionGone();
        }
    }
}
