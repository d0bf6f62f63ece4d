using System.Collections.Immutable;

namespace Keepalive.Config.Resources;

/// <summary>Selects workloads by namespace and labels, in the grammar of label selectors
/// (Kubernetes, apimachinery/pkg/labels/selector.go): <c>namespace=shop,app in (web, api),!canary</c>.</summary>
/// <remarks>All requirements must hold. The key <c>namespace</c> is the Kubernetes namespace, and not a label of that name.</remarks>
public sealed class WorkloadSelector
{
    /// <summary>The key that is the Kubernetes namespace.</summary>
    public const string NamespaceKey = "namespace";

    private const int MaxRequirements = 32;

    private readonly ImmutableArray<Requirement> _requirements;

    private WorkloadSelector(ImmutableArray<Requirement> requirements)
    {
        _requirements = requirements;
        Text = string.Join(',', requirements);
    }

    private enum Operator
    {
        Exists,
        Absent,
        In,
        NotIn,
    }

    /// <summary>The selector as text, in a form of its own: two that select alike by the same requirements have the same text.</summary>
    public string Text { get; }

    /// <summary>Reads a selector.</summary>
    /// <param name="text">The text.</param>
    /// <param name="selector">The selector, if there is one.</param>
    /// <param name="problem">The reason, if there is none.</param>
    public static bool TryParse(string text, out WorkloadSelector? selector, out string problem)
    {
        ArgumentNullException.ThrowIfNull(text);
        (selector, problem) = (null, "");
        var requirements = ImmutableArray.CreateBuilder<Requirement>();
        foreach (var part in Split(text))
        {
            if (!TryRead(part, out var requirement, out problem))
            {
                return false;
            }

            requirements.Add(requirement!);
        }

        if (requirements.Count > MaxRequirements)
        {
            problem = $"has more than {MaxRequirements} requirements";
            return false;
        }

        if (requirements.Where(static one => one.Operator == Operator.In).GroupBy(static one => one.Key).FirstOrDefault(static group => !Possible(group).Any()) is { } impossible)
        {
            problem = impossible.Count() > 1 ? $"wants several values of {Quoting.Quote(impossible.Key)} at once, and selects no pod" : "has a namespace without a name";
            return false;
        }

        selector = new WorkloadSelector([.. requirements.OrderBy(static one => one.ToString(), StringComparer.Ordinal).DistinctBy(static one => one.ToString())]);
        return true;
    }

    /// <summary>Whether a workload has all that is required.</summary>
    public bool Matches(ClientWorkload workload)
    {
        ArgumentNullException.ThrowIfNull(workload);
        foreach (var requirement in _requirements)
        {
            var value = requirement.Key == NamespaceKey ? workload.Namespace : workload.Labels.GetValueOrDefault(requirement.Key);
            var holds = requirement.Operator switch
            {
                Operator.Exists => value is not null,
                Operator.Absent => value is null,
                Operator.In => value is not null && requirement.Values.Contains(value),
                _ => value is null || !requirement.Values.Contains(value),
            };
            if (!holds)
            {
                return false;
            }
        }

        return true;
    }

    /// <inheritdoc/>
    public override string ToString() => Text;

    /// <summary>The values of one key with which all requirements hold. A namespace has a name.</summary>
    private static IEnumerable<string> Possible(IGrouping<string, Requirement> requirements) =>
        requirements.Select(static one => one.Values.AsEnumerable()).Aggregate(static (one, other) => one.Intersect(other))
            .Where(value => value.Length > 0 || requirements.Key != NamespaceKey);

    /// <summary>Splits at commas outside of parentheses.</summary>
    private static List<string> Split(string text)
    {
        var parts = new List<string>();
        var (begin, depth) = (0, 0);
        for (var i = 0; i <= text.Length; i++)
        {
            if (i == text.Length || (text[i] == ',' && depth == 0))
            {
                parts.Add(text[begin..i].Trim());
                begin = i + 1;
            }
            else
            {
                depth += text[i] switch { '(' => 1, ')' => -1, _ => 0 };
            }
        }

        return parts;
    }

    private static bool TryRead(string part, out Requirement? requirement, out string problem)
    {
        (requirement, problem) = (null, "");
        var (key, comparison, values) = (part, Operator.Exists, ImmutableArray<string>.Empty);
        if (part.IndexOf('=', StringComparison.Ordinal) is >= 0 and var at)
        {
            comparison = at > 0 && part[at - 1] == '!' ? Operator.NotIn : Operator.In;
            key = part[..(comparison == Operator.NotIn ? at - 1 : at)].TrimEnd();
            values = [part[(at + 1 < part.Length && part[at + 1] == '=' ? at + 2 : at + 1)..].Trim()];
        }
        else if (part.StartsWith('!'))
        {
            (key, comparison) = (part[1..].TrimStart(), Operator.Absent);
        }
        else if (part.EndsWith(')') && part.IndexOf('(', StringComparison.Ordinal) is > 0 and var open
            && part[..open].Split(' ', StringSplitOptions.RemoveEmptyEntries) is [var name, ("in" or "notin") and var word])
        {
            (key, comparison) = (name, word == "in" ? Operator.In : Operator.NotIn);
            values = [.. part[(open + 1)..^1].Split(',').Select(static value => value.Trim()).Order(StringComparer.Ordinal).Distinct()];
        }

        problem = key.Length == 0 ? "has an empty requirement"
            : !IsKey(key) ? $"has {Quoting.Quote(key)}, which is no key of a label"
            : values.FirstOrDefault(static value => !IsValue(value)) is { } bad ? $"has {Quoting.Quote(bad)}, which is no value of a label"
            : key == NamespaceKey && comparison is Operator.Exists or Operator.Absent ? "has a namespace without a name"
            : "";
        requirement = new Requirement(key, comparison, values);
        return problem.Length == 0;
    }

    // https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
    private static bool IsKey(string key) =>
        key.Split('/') switch
        {
            [var name] => name.Length > 0 && IsValue(name),
            [var prefix, var name] => prefix.Length is > 0 and <= 253 && prefix.All(static c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '.')
                && name.Length > 0 && IsValue(name),
            _ => false,
        };

    private static bool IsValue(string value) =>
        value.Length == 0
        || (value.Length <= 63 && char.IsAsciiLetterOrDigit(value[0]) && char.IsAsciiLetterOrDigit(value[^1])
            && value.All(static c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.'));

    private sealed record Requirement(string Key, Operator Operator, ImmutableArray<string> Values)
    {
        public override string ToString() => (Operator, Values.Length) switch
        {
            (Operator.Exists, _) => Key,
            (Operator.Absent, _) => $"!{Key}",
            (Operator.In, 1) => $"{Key}={Values[0]}",
            (Operator.NotIn, 1) => $"{Key}!={Values[0]}",
            (Operator.In, _) => $"{Key} in ({string.Join(',', Values)})",
            _ => $"{Key} notin ({string.Join(',', Values)})",
        };
    }
}
