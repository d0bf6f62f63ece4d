using System.Buffers;

namespace Keepalive.Agent.Kubernetes;

/// <summary>The names of the kinds that were added to the server: tells those who wait for one that it has come.</summary>
internal sealed class DefinitionSink(IReadOnlyDictionary<string, KindWatch> byDefinition) : IObjectSink
{
    private HashSet<string> _known = [];
    private HashSet<string> _listed = [];

    public void BeginList() => _listed = [];

    public void Take(ApiMetadata head, string apiVersion, in ReadOnlySequence<byte> json)
    {
        _listed.Add(head.Name!);
        // Also of one that is known: it comes before its kind can be asked for, and again once it can.
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
    }

    public void Remove(ApiMetadata head) => Remove(head.Name!);

    public void Clear()
    {
        // What they were about is asked for all the same.
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
