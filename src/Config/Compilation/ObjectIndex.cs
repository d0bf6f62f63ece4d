using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>Finds the objects a selector matches without looking at all of them.</summary>
internal sealed class ObjectIndex<T>
    where T : Resource
{
    private readonly T[] _objects;
    private readonly CompilationBudget _budget;
    private readonly Lazy<NumbersByKey<string>> _byNamespace;
    private readonly Lazy<NumbersByKey<string>> _byName;
    private readonly Lazy<NumbersByKey<(string, string)>> _byLabel;

    public ObjectIndex(IEnumerable<T> objects, CompilationBudget budget)
    {
        (_objects, _budget) = ([.. objects], budget);
        _byNamespace = new(() => By(static one => one.Metadata.Namespace));
        _byName = new(() => By(static one => one.Metadata.Name.Value));
        _byLabel = new(ByLabel);
    }

    /// <summary>All of them, in document order.</summary>
    public IReadOnlyList<T> All => _objects;

    /// <summary>Whether one has a name.</summary>
    public bool HasName(string name) => _byName.Value.Contains(name);

    /// <summary>Whether one is in a namespace.</summary>
    public bool HasNamespace(string ns) => _byNamespace.Value.Contains(ns);

    /// <summary>Whether one has a label.</summary>
    public bool HasLabel(string key, string value) => _byLabel.Value.Contains((key, value));

    /// <summary>Puts an object in the place of another with the same name, namespace and labels.</summary>
    public void Replace(T one, T by)
    {
        var i = Array.FindIndex(_objects, known => ReferenceEquals(known, one));
        if (i >= 0)
        {
            _objects[i] = by;
        }
    }

    /// <summary>Those a selector matches, in document order.</summary>
    public IEnumerable<T> Select(ObjectSelector selector)
    {
        foreach (var i in Candidates(selector))
        {
            _budget.AddComparison();
            if (_budget.IsExhausted)
            {
                yield break;
            }

            if (selector.Matches(_objects[i].Metadata))
            {
                yield return _objects[i];
            }
        }
    }

    /// <summary>Those any of some selectors matches, each once, in the order of the selectors.</summary>
    public IEnumerable<T> SelectAny(IReadOnlyList<ObjectSelector> selectors) => selectors.Count switch
    {
        0 => [],
        1 => Select(selectors[0]),
        _ => selectors.SelectMany(Select).Distinct<T>(ReferenceEqualityComparer.Instance),
    };

    private IEnumerable<int> Candidates(ObjectSelector selector) =>
        selector.Name is { } name ? _byName.Value.Of(name.Value)
        : !selector.Labels.IsEmpty ? _byLabel.Value.Of((selector.Labels[0].Key, selector.Labels[0].Value))
        : selector.Namespace is { } ns ? _byNamespace.Value.Of(ns.Value)
        : Enumerable.Range(0, _objects.Length);

    private NumbersByKey<string> By(Func<T, string> key)
    {
        var index = new NumbersByKey<string>(_objects.Length);
        for (var i = 0; i < _objects.Length; i++)
        {
            index.Add(key(_objects[i]), i);
        }

        return index;
    }

    private NumbersByKey<(string, string)> ByLabel()
    {
        var index = new NumbersByKey<(string, string)>(_objects.Sum(static one => one.Metadata.Labels.Count));
        for (var i = 0; i < _objects.Length; i++)
        {
            foreach (var (key, value) in _objects[i].Metadata.Labels)
            {
                index.Add((key, value), i);
            }
        }

        return index;
    }
}
