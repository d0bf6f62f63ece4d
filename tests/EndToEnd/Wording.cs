using System.Text.RegularExpressions;

namespace Keepalive.EndToEnd;

/// <summary>Phrases that a reader in a hurry has to read twice, each with the words of the field.</summary>
internal static partial class Wording
{
    private static readonly (Regex Phrase, string Better)[] s_phrases =
    [
        (GiveBack(), "restore"),
        (BeHad(), "available, unavailable"),
        (LeftAlone(), "ignored, skipped, not changed"),
        (Told(), "reported, logged"),
        (Befall(), "happen"),
        (Suffer(), "allow, have"),
        (Dear(), "slow, costly"),
        (InVain(), "unused, without effect"),
        (Nonsense(), "invalid"),
        (NoHarm(), "has no effect"),
        (Whoever(), "the client, the process, the owner"),
        (ToBeSeen(), "visible"),
        (ThoseOfWhich(), "a sentence of its own"),
        (AgentForgets(), "loses, drops, removes"),
        (WhatAsSubject(), "the thing itself as the subject"),
        (WhoAsSubject(), "the client, the process, the owner"),
    ];

    /// <summary>The phrases in a text, each with what to write instead.</summary>
    public static IEnumerable<string> Problems(string text) =>
        s_phrases.SelectMany(entry => entry.Phrase.Matches(text).Select(match => $"\"{match.Value.Trim()}\": write {entry.Better}"));

    [GeneratedRegex(@"\bg(?:ive|ives|iving|iven|ave)\b[^.;]{0,30}\bback\b", RegexOptions.IgnoreCase)]
    private static partial Regex GiveBack();

    [GeneratedRegex(@"\bbe had\b", RegexOptions.IgnoreCase)]
    private static partial Regex BeHad();

    [GeneratedRegex(@"\b(?:left|leaves?|leaving)\b[^.;]{0,40}\balone\b", RegexOptions.IgnoreCase)]
    private static partial Regex LeftAlone();

    [GeneratedRegex(@"\b(?:be|is|are|was|were|been) told\b", RegexOptions.IgnoreCase)]
    private static partial Regex Told();

    [GeneratedRegex(@"\bbefalls?\b", RegexOptions.IgnoreCase)]
    private static partial Regex Befall();

    [GeneratedRegex(@"\bsuffer(?:s|ed|ing)?\b", RegexOptions.IgnoreCase)]
    private static partial Regex Suffer();

    [GeneratedRegex(@"\bdear(?:er|est)?\b", RegexOptions.IgnoreCase)]
    private static partial Regex Dear();

    [GeneratedRegex(@"\bin vain\b", RegexOptions.IgnoreCase)]
    private static partial Regex InVain();

    [GeneratedRegex(@"\bnonsense\b|\bmakes? no sense\b", RegexOptions.IgnoreCase)]
    private static partial Regex Nonsense();

    [GeneratedRegex(@"\bdo(?:es)? no harm\b", RegexOptions.IgnoreCase)]
    private static partial Regex NoHarm();

    [GeneratedRegex(@"\bwhoever\b", RegexOptions.IgnoreCase)]
    private static partial Regex Whoever();

    [GeneratedRegex(@"\b(?:is|are) to be (?:seen|told|given)\b", RegexOptions.IgnoreCase)]
    private static partial Regex ToBeSeen();

    [GeneratedRegex(@"\bthose of which\b", RegexOptions.IgnoreCase)]
    private static partial Regex ThoseOfWhich();

    [GeneratedRegex(@"\bagent\b[^.;]{0,40}\bforg(?:e|o)ts?\b", RegexOptions.IgnoreCase)]
    private static partial Regex AgentForgets();

    // A question may begin so, and so may a heading.
    [GeneratedRegex(@"(?<=^|[.;:] |>|""|// )What (?![^.?!;|]*\?)[^.;|]* (?:is|are|was|were|does|do|goes|has|have) [^.;|]*", RegexOptions.Multiline)]
    private static partial Regex WhatAsSubject();

    [GeneratedRegex(@"(?<=^|[.;:] |>|""|// )Who (?![^.?!;|]*\?)[^.;|]*", RegexOptions.Multiline)]
    private static partial Regex WhoAsSubject();
}
