namespace Keepalive.Config.Compilation;

/// <summary>Bounds the work of one compilation: selectors times destinations, addresses times ports.</summary>
internal sealed class CompilationBudget
{
    /// <summary>Rules, those that lose included.</summary>
    public const int MaxRules = 200_000;

    /// <summary>Comparisons of a selector with an object.</summary>
    public const int MaxComparisons = 5_000_000;

    /// <summary>Losing rules kept for explanations; more than these explain nothing.</summary>
    public const int MaxShadowed = 10_000;

    private int _rules;
    private int _comparisons;

    public void AddRules(int count) => _rules = (int)Math.Min((long)_rules + count, int.MaxValue);

    public void AddComparison() => _comparisons++;

    /// <summary>Adds work that an earlier compilation has done.</summary>
    public void Add((int Rules, int Comparisons) work)
    {
        AddRules(work.Rules);
        _comparisons = (int)Math.Min((long)_comparisons + work.Comparisons, int.MaxValue);
    }

    /// <summary>Takes back the work since an earlier count: that of rules which were thrown away.</summary>
    public void Restore((int Rules, int Comparisons) earlier) => (_rules, _comparisons) = earlier;

    /// <summary>The work so far.</summary>
    public (int Rules, int Comparisons) Count => (_rules, _comparisons);

    /// <summary>Throws away a compilation that would take minutes and gigabytes.</summary>
    public bool IsExhausted => _rules > MaxRules || _comparisons > MaxComparisons;
}
