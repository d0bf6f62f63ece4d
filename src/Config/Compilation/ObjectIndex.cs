using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>Finds the objects a selector matches without looking at all of them.</summary>
internal sealed class ObjectIndex<T>(IReadOnlyList<T> objects, CompilationBudget budget)
    where T : Resource
{
    private readonly Lazy<ILookup<string, T>> _byNamespace = new(() => objects.ToLookup(static one => one.Metadata.Namespace));
    private readonly Lazy<ILookup<string, T>> _byName = new(() => objects.ToLookup(static one => one.Metadata.Name.Value));
    private readonly Lazy<ILookup<(string, string), T>> _byLabel = new(() => objects
        .SelectMany(static one => one.Metadata.Labels.Select(label => (Label: (label.Key, label.Value), One: one)))
        .ToLookup(static pair => pair.Label, static pair => pair.One));

    /// <summary>All of them, in document order.</summary>
    public IReadOnlyList<T> All => objects;

    /// <summary>Whether one has a name.</summary>
    public bool HasName(string name) => _byName.Value.Contains(name);

    /// <summary>Whether one is in a namespace.</summary>
    public bool HasNamespace(string ns) => _byNamespace.Value.Contains(ns);

    /// <summary>Whether one has a label.</summary>
    public bool HasLabel(string key, string value) => _byLabel.Value.Contains((key, value));

    /// <summary>Those a selector matches, in document order.</summary>
    public IEnumerable<T> Select(ObjectSelector selector)
    {
        foreach (var one in Candidates(selector))
        {
            budget.AddComparison();
            if (budget.IsExhausted)
            {
                yield break;
            }

            if (selector.Matches(one.Metadata))
            {
                yield return one;
            }
        }
    }

    /// <summary>Those any of some selectors matches, each once, in the order of the selectors.</summary>
    public IEnumerable<T> SelectAny(IEnumerable<ObjectSelector> selectors) =>
        selectors.SelectMany(Select).Distinct<T>(ReferenceEqualityComparer.Instance);

    private IEnumerable<T> Candidates(ObjectSelector selector) =>
        selector.Name is { } name ? _byName.Value[name.Value]
        : !selector.Labels.IsEmpty ? _byLabel.Value[(selector.Labels[0].Key, selector.Labels[0].Value)]
        : selector.Namespace is { } ns ? _byNamespace.Value[ns.Value]
        : objects;
}
