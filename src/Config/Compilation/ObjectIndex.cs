using System.Diagnostics.CodeAnalysis;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>Finds the objects a selector matches without looking at all of them.</summary>
/// <remarks>
/// Objects that come later are in a short list beside the index, each with its place in document order:
/// <code>
///   objects   0: a   1: (gone)   2: c   3: d         by name, namespace and label
///   later     b, before 2 │ e, before 4              looked at one by one, until they are many
/// </code>
/// </remarks>
internal sealed class ObjectIndex<T>
    where T : Resource
{
    private readonly CompilationBudget _budget;
    private readonly List<(int Before, T Object)> _later = [];
    private T?[] _objects;
    private int _gone;
    private T[]? _all;
    private Lazy<NumbersByKey<string>> _byNamespace;
    private Lazy<NumbersByKey<string>> _byName;

    // By the name of the label: only those that a selector has asked for.
    private readonly Dictionary<string, NumbersByKey<string>> _byLabel = [];

    public ObjectIndex(IEnumerable<T> objects, CompilationBudget budget)
    {
        _budget = budget;
        Index([.. objects]);
    }

    /// <summary>All of them, in document order.</summary>
    public IReadOnlyList<T> All => _all ??= _later.Count + _gone == 0 ? (T[])_objects! : [.. InOrder()];

    /// <summary>Whether one has a name.</summary>
    public bool HasName(string name) => Has(_byName.Value.Of(name), one => one.Metadata.Name.Value == name);

    /// <summary>Whether one is in a namespace.</summary>
    public bool HasNamespace(string ns) => Has(_byNamespace.Value.Of(ns), one => one.Metadata.Namespace == ns);

    /// <summary>Whether one has a label.</summary>
    public bool HasLabel(string key, string value) => Has(ByLabel(key).Of(value), one => HasLabel(one, key, value));

    /// <summary>Puts an object in the place of another.</summary>
    /// <param name="one">The earlier object.</param>
    /// <param name="by">The later one.</param>
    /// <param name="isSameKey">Whether it has the same name, namespace and labels.</param>
    public void Replace(T one, T by, bool isSameKey)
    {
        _all = null;
        var later = _later.FindIndex(known => ReferenceEquals(known.Object, one));
        if (later >= 0)
        {
            _later[later] = (_later[later].Before, by);
            return;
        }

        var i = Array.FindIndex(_objects, known => ReferenceEquals(known, one));
        if (i >= 0 && isSameKey)
        {
            _objects[i] = by;
        }
        else if (i >= 0)
        {
            _objects[i] = null;
            _gone++;
            Insert(i, by);
        }
    }

    /// <summary>Removes an object.</summary>
    public void Remove(T one)
    {
        _all = null;
        if (_later.RemoveAll(known => ReferenceEquals(known.Object, one)) == 0 && Array.FindIndex(_objects, known => ReferenceEquals(known, one)) is var i and >= 0)
        {
            _objects[i] = null;
            _gone++;
        }
    }

    /// <summary>Adds an object.</summary>
    /// <param name="one">The object.</param>
    /// <param name="next">The one that follows it in document order; null if it is the last.</param>
    public void Add(T one, T? next)
    {
        _all = null;
        var later = next is null ? -1 : _later.FindIndex(known => ReferenceEquals(known.Object, next));
        if (later >= 0)
        {
            _later.Insert(later, (_later[later].Before, one));
            IndexAnew();
            return;
        }

        Insert(next is null ? _objects.Length : Array.FindIndex(_objects, known => ReferenceEquals(known, next)), one);
    }

    /// <summary>Those a selector matches, in document order.</summary>
    public IEnumerable<T> Select(ObjectSelector selector) => selector switch
    {
        { Name: { } name } => Select(_byName.Value.Of(name.Value), selector),
        { Labels: [var (key, value), ..] } => Select(ByLabel(key).Of(value), selector),
        { Namespace: { } ns } => Select(_byNamespace.Value.Of(ns.Value), selector),
        _ => All.TakeWhile(_ => !_budget.IsExhausted).Where(one => IsMatch(one, selector)),
    };

    /// <summary>Those any of some selectors matches, each once, in the order of the selectors.</summary>
    public IEnumerable<T> SelectAny(IReadOnlyList<ObjectSelector> selectors) => selectors.Count switch
    {
        0 => [],
        1 => Select(selectors[0]),
        _ => selectors.SelectMany(Select).Distinct<T>(ReferenceEqualityComparer.Instance),
    };

    private IEnumerable<T> Select(Numbers numbers, ObjectSelector selector)
    {
        var later = 0;
        foreach (var i in numbers)
        {
            for (; later < _later.Count && _later[later].Before <= i; later++)
            {
                if (IsCandidate(_later[later].Object, selector) && IsMatch(_later[later].Object, selector))
                {
                    yield return _later[later].Object;
                }
            }

            if (_objects[i] is { } one && IsMatch(one, selector))
            {
                yield return one;
            }

            if (_budget.IsExhausted)
            {
                yield break;
            }
        }

        for (; later < _later.Count; later++)
        {
            if (IsCandidate(_later[later].Object, selector) && IsMatch(_later[later].Object, selector))
            {
                yield return _later[later].Object;
            }
        }
    }

    private bool IsMatch(T one, ObjectSelector selector)
    {
        _budget.AddComparison();
        return !_budget.IsExhausted && selector.Matches(one.Metadata);
    }

    /// <summary>Whether the index leads from the selector to an object.</summary>
    private static bool IsCandidate(T one, ObjectSelector selector) => selector switch
    {
        { Name: { } name } => one.Metadata.Name.Value == name.Value,
        { Labels: [var (key, value), ..] } => HasLabel(one, key, value),
        _ => one.Metadata.Namespace == selector.Namespace?.Value,
    };

    private static bool HasLabel(T one, string key, string value) => one.Metadata.Labels.TryGetValue(key, out var known) && known == value;

    private bool Has(Numbers numbers, Func<T, bool> isWanted)
    {
        foreach (var i in numbers)
        {
            if (_objects[i] is not null)
            {
                return true;
            }
        }

        return _later.Exists(one => isWanted(one.Object));
    }

    private IEnumerable<T> InOrder()
    {
        var later = 0;
        for (var i = 0; i <= _objects.Length; i++)
        {
            for (; later < _later.Count && _later[later].Before <= i; later++)
            {
                yield return _later[later].Object;
            }

            if (i < _objects.Length && _objects[i] is { } one)
            {
                yield return one;
            }
        }
    }

    private void Insert(int before, T one)
    {
        var i = _later.FindIndex(known => known.Before > before);
        _later.Insert(i < 0 ? _later.Count : i, (before, one));
        IndexAnew();
    }

    /// <summary>Makes the index anew if there is much beside it.</summary>
    private void IndexAnew()
    {
        if (_later.Count + _gone > 64 + (_objects.Length / 16))
        {
            T[] all = [.. All];
            _later.Clear();
            Index(all);
        }
    }

    [MemberNotNull(nameof(_objects), nameof(_byNamespace), nameof(_byName))]
    private void Index(T[] objects)
    {
        (_objects, _all, _gone) = (objects, null, 0);
        _byNamespace = new(() => By(static one => one.Metadata.Namespace));
        _byName = new(() => By(static one => one.Metadata.Name.Value));
        _byLabel.Clear();
    }

    private NumbersByKey<string> By(Func<T, string> key)
    {
        var index = new NumbersByKey<string>(_objects.Length);
        for (var i = 0; i < _objects.Length; i++)
        {
            if (_objects[i] is { } one)
            {
                index.Add(key(one), i);
            }
        }

        return index;
    }

    private NumbersByKey<string> ByLabel(string key)
    {
        if (!_byLabel.TryGetValue(key, out var index))
        {
            _byLabel.Add(key, index = new NumbersByKey<string>(_objects.Length));
            for (var i = 0; i < _objects.Length; i++)
            {
                if (_objects[i] is { } one && one.Metadata.Labels.TryGetValue(key, out var value))
                {
                    index.Add(value, i);
                }
            }
        }

        return index;
    }
}
