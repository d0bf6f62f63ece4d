namespace Keepalive.Config.Reading;

/// <summary>Finds the word someone probably meant.</summary>
internal static class DidYouMean
{
    private const int MaxLength = 48;

    /// <summary>The candidate closest to the text, or null when none is close.</summary>
    public static string? Find(string text, IEnumerable<string> candidates)
    {
        if (text.Length > MaxLength)
        {
            return null;
        }

        var best = candidates.Select(candidate => (Candidate: candidate, Distance: Distance(text, candidate)))
            .OrderBy(static pair => pair.Distance).FirstOrDefault();
        return best.Candidate is not null && best.Distance <= Math.Max(1, Math.Min(text.Length, best.Candidate.Length) / 3)
            ? best.Candidate
            : null;
    }

    /// <summary>Levenshtein's distance, upper and lower case being the same.</summary>
    internal static int Distance(string left, string right)
    {
        Span<int> row = stackalloc int[MaxLength + 1];
        right = right.Length > MaxLength ? right[..MaxLength] : right;
        for (var j = 0; j <= right.Length; j++)
        {
            row[j] = j;
        }

        for (var i = 1; i <= left.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= right.Length; j++)
            {
                var same = char.ToLowerInvariant(left[i - 1]) == char.ToLowerInvariant(right[j - 1]);
                var cost = Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + (same ? 0 : 1));
                diagonal = row[j];
                row[j] = cost;
            }
        }

        return row[right.Length];
    }
}
