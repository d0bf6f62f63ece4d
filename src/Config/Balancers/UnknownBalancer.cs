using System.Collections.Immutable;
using Keepalive.Config.Reading;

namespace Keepalive.Config.Balancers;

/// <summary>The answer to a name that is no balancer's: similar names, or the reason that one name is not enough.</summary>
public static class UnknownBalancer
{
    private const int MaxNear = 4;
    private const int MaxLength = 48;

    /// <summary>The rank of names that have only their first word in common.</summary>
    private const int SameVendor = 9;

    /// <summary>The rank of names that have another word in common.</summary>
    private const int SharedWord = 6;

    /// <summary>Names that stand for several balancers with different idle timeouts.</summary>
    private static readonly ImmutableArray<(string Name, string Reason, string OneOf, int Otherwise)> s_ambiguous =
    [
        (
            "aws-ec2",
            "depends on the instance type: machines of the sixth Nitro generation (c8i, m8i, r8i and others) drop idle connections after 350s, "
                + "all others after 432000s",
            "aws-security-group", 432_000
        ),
    ];

    /// <summary>Products that are another one inside, by the first word of their names.</summary>
    private static readonly ImmutableArray<(string Word, string Preset)> s_built =
    [
        ("istio", "envoy"), ("contour", "envoy"), ("gloo", "envoy"), ("kgateway", "envoy"), ("emissary", "envoy"), ("ambassador", "envoy"),
        ("openshift", "haproxy"), ("kong", "nginx"), ("openresty", "nginx"),
    ];

    /// <summary>Known names that may be meant, the most similar first; may be empty.</summary>
    public static ImmutableArray<string> Near(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (name.Length > MaxLength)
        {
            return [];
        }
        var given = name.ToLowerInvariant().Replace('_', '-').Replace(' ', '-').Replace('.', '-').Trim('-');
        if (BalancerPresets.Find(given) is { } same)
        {
            return [same.Name];
        }
        // The words it may share with other products, such as "gateway", say less.
        if (s_built.FirstOrDefault(entry => given == entry.Word || given.StartsWith(entry.Word + "-", StringComparison.Ordinal)) is { Preset: { } inside })
        {
            return [inside];
        }
        var ranked = BalancerPresets.Names.Select(known => (Name: known, Rank: Rank(given, known)))
            .Where(static entry => entry.Rank < int.MaxValue).OrderBy(static entry => entry.Rank).ThenBy(static entry => entry.Name.Length).ToList();
        // A vendor alone says little. It is better than nothing.
        var best = ranked.Count > 0 && ranked[0].Rank < SameVendor ? SameVendor - 1 : SameVendor;
        return [.. ranked.Where(entry => entry.Rank <= best).Take(MaxNear).Select(static entry => entry.Name)];
    }

    /// <summary>What is wrong with a name, a sentence without its end, and what to write instead.</summary>
    /// <param name="name">The name.</param>
    /// <param name="withTimeout">How a balancer's name and its idle timeout are written together.</param>
    /// <param name="otherwise">How a balancer without a name is described.</param>
    public static (string Problem, string Fix) Explain(string name, Func<string, int, string> withTimeout, string otherwise)
    {
        ArgumentNullException.ThrowIfNull(withTimeout);
        foreach (var (ambiguous, reason, preset, timeout) in s_ambiguous)
        {
            if (string.Equals(ambiguous, name, StringComparison.OrdinalIgnoreCase))
            {
                return ($"{ambiguous} {reason}", $"write {preset}, or {withTimeout(preset, timeout)}");
            }
        }
        var near = Near(name);
        var meant = near.Length > 0 ? $"did you mean {OneOf(near)}? " : "";
        return (
            $"{Quoting.Quote(name)} is not known",
            $"{meant}'keepalive-sim balancers' lists all. For another, measure it ('keepalive-sim discover HOST:PORT') and write {otherwise}");
    }

    private static int Rank(string given, string known)
    {
        if (given.Length < 2)
        {
            return int.MaxValue;
        }
        if (known.Contains(given, StringComparison.Ordinal) || given.Contains(known, StringComparison.Ordinal))
        {
            return 0;
        }
        var distance = DidYouMean.Distance(given, known);
        if (distance <= Math.Max(1, Math.Min(given.Length, known.Length) / 3) && distance < SharedWord)
        {
            return distance;
        }
        string[] givenWords = given.Split('-'), knownWords = known.Split('-');
        var sameVendor = givenWords[0] == knownWords[0];
        var shared = givenWords.Intersect(knownWords).Count(word => word.Length > 1) - (sameVendor ? 1 : 0);
        return shared > 0 ? (sameVendor ? SharedWord : SharedWord + 1)
            : sameVendor && knownWords.Length > 1 ? SameVendor
            : int.MaxValue;
    }

    private static string OneOf(ImmutableArray<string> words) =>
        words.Length == 1 ? words[0] : $"{string.Join(", ", words[..^1])} or {words[^1]}";
}
