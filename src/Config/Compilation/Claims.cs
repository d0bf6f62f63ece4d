namespace Keepalive.Config.Compilation;

/// <summary>The grants of addresses that several have, the strongest first, each with its rule. Lists that were made stay as they are: earlier sets have them.</summary>
/// <remarks>The holder of an address is the number of its only grant, or the complement of its list's first claim.</remarks>
internal sealed class Claims
{
    private Claim[] _all = [];
    private int _count;
    private int _unused;
    private int _begun;

    /// <summary>Pairs of policies that share addresses.</summary>
    public List<SharedAddresses> Shared { get; } = [];

    /// <summary>How many of these are there at first: later sets add theirs again, with each change beside them.</summary>
    public int SharedAtFirst { get; set; }

    public bool IsMostlyUnused => _unused > (_count / 2) + 1024 || Shared.Count > (2 * SharedAtFirst) + 1024;

    public ref readonly Claim this[int claim] => ref _all[claim];

    public int FirstOf(int holder) => holder >= 0 ? holder : _all[~holder].Grant;

    /// <summary>Adds a weaker grant to an address, before anybody else has its list.</summary>
    public int Append(int holder, CompiledRule first, CompiledRule rule, int grant)
    {
        var head = holder >= 0 ? Add(first, holder) : ~holder;
        var last = Add(rule, grant);
        _all[_all[head].Last].Next = last;
        _all[head].Last = last;
        return ~head;
    }

    /// <summary>Begins a change: the lists that there are stay, those that it makes may still be changed.</summary>
    public void Begin() => _begun = _count;

    /// <summary>The list with a grant more.</summary>
    public int With(int holder, CompiledRule known, CompiledRule rule, int grant, int[] places)
    {
        if (holder >= 0)
        {
            return places[holder] < places[grant] ? Append(holder, known, rule, grant) : Append(grant, rule, known, holder);
        }

        var list = ~holder < _begun ? Copy(~holder, static _ => true) : holder;
        var (before, after) = (-1, ~list);
        while (after >= 0 && places[_all[after].Grant] < places[grant])
        {
            (before, after) = (after, _all[after].Next);
        }

        var (added, last) = (Add(rule, grant), _all[~list].Last);
        _all[added].Next = after;
        if (before < 0)
        {
            _all[added].Last = last;
            return ~added;
        }

        _all[before].Next = added;
        _all[~list].Last = after < 0 ? added : last;
        return list;
    }

    /// <summary>The list without some grants.</summary>
    /// <param name="head">Its first claim.</param>
    /// <param name="grants">The grants.</param>
    /// <returns>The holder, and its rule if there is one only; null if nobody is left.</returns>
    public (int Holder, CompiledRule? Only)? Without(int head, HashSet<int> grants)
    {
        var (count, last) = (0, -1);
        for (var claim = head; claim >= 0; claim = _all[claim].Next)
        {
            (count, last) = grants.Contains(_all[claim].Grant) ? (count, last) : (count + 1, claim);
        }

        if (count > 1)
        {
            return (Copy(head, grant => !grants.Contains(grant)), null);
        }

        _unused += LengthOf(head);
        return count == 0 ? null : (_all[last].Grant, _all[last].Rule);
    }

    /// <summary>A list of its own with some of the grants.</summary>
    private int Copy(int head, Func<int, bool> isMeant)
    {
        _unused += LengthOf(head);
        var list = 0;
        for (var claim = head; claim >= 0; claim = _all[claim].Next)
        {
            list = isMeant(_all[claim].Grant) ? And(list, _all[claim].Rule, _all[claim].Grant) : list;
        }

        return list;
    }

    private int LengthOf(int head)
    {
        var length = 0;
        for (var claim = head; claim >= 0; claim = _all[claim].Next)
        {
            length++;
        }

        return length;
    }

    /// <summary>Adds a claim to a list that is being made; 0 is an empty one.</summary>
    private int And(int list, CompiledRule rule, int grant)
    {
        var added = Add(rule, grant);
        if (list == 0)
        {
            return ~added;
        }

        _all[_all[~list].Last].Next = added;
        _all[~list].Last = added;
        return list;
    }

    private int Add(CompiledRule rule, int grant)
    {
        if (_count == _all.Length)
        {
            Array.Resize(ref _all, Math.Max(16, 2 * _count));
        }

        _all[_count] = new Claim { Rule = rule, Grant = grant, Next = -1, Last = _count };
        return _count++;
    }
}

/// <summary>Addresses of which two policies want different things.</summary>
/// <param name="Rival">The first rule that is not in force.</param>
/// <param name="Winner">The first that is in force instead.</param>
/// <param name="Count">How many follow each other.</param>
/// <param name="Next">The next ones of the same grant; negative for none.</param>
internal readonly record struct SharedAddresses(CompiledRule Rival, CompiledRule Winner, int Count, int Next);

/// <summary>A grant that has an address, in the list of that address.</summary>
internal struct Claim
{
    public CompiledRule Rule;
    public int Grant;
    public int Next;

    /// <summary>Of a list's first claim: the last one.</summary>
    public int Last;
}
