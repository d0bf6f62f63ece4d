using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>Objects that one set has and another does not.</summary>
/// <param name="Before">The object of the earlier set; null if one was added.</param>
/// <param name="After">The object of the later set, at the same place; null if one was removed.</param>
/// <param name="Place">The place in the later set.</param>
internal readonly record struct ResourceChange(Resource? Before, Resource? After, int Place)
{
    /// <summary>How far ahead objects are looked for that both sets have.</summary>
    private const int Ahead = 8;

    /// <summary>The differences of two sets, in document order.</summary>
    /// <param name="before">The earlier set.</param>
    /// <param name="after">The later set.</param>
    /// <param name="isLeftOut">Whether an object is looked for elsewhere.</param>
    /// <param name="most">At most so many.</param>
    /// <returns>Null if there are more, or if the order differs.</returns>
    public static List<ResourceChange>? Find(ReadOnlySpan<Resource> before, ReadOnlySpan<Resource> after, Func<Resource, bool> isLeftOut, int most)
    {
        var changes = new List<ResourceChange>();
        var (i, j) = (0, 0);
        while (i < before.Length || j < after.Length)
        {
            if (i < before.Length && j < after.Length && ReferenceEquals(before[i], after[j]))
            {
                (i, j) = (i + 1, j + 1);
                continue;
            }

            if ((Next(before, i), Next(after, j)) is var next && next != (i, j))
            {
                (i, j) = next;
                continue;
            }

            var (removed, added) = Resume(before[i..], after[j..]);
            for (var (from, to) = (i, j); ; from++, to++)
            {
                from = Next(before[..(i + removed)], from);
                to = Next(after[..(j + added)], to);
                var (isGone, isThere) = (from < i + removed, to < j + added);
                if (!isGone && !isThere)
                {
                    break;
                }

                if (changes.Count == most)
                {
                    return null;
                }

                changes.Add(new ResourceChange(isGone ? before[from] : null, isThere ? after[to] : null, Math.Min(to, after.Length)));
            }

            (i, j) = (i + removed, j + added);
        }

        return changes;

        int Next(ReadOnlySpan<Resource> all, int at)
        {
            while (at < all.Length && isLeftOut(all[at]))
            {
                at++;
            }

            return at;
        }
    }

    /// <summary>How many objects are to be left out of each set until both have the same again.</summary>
    private static (int Removed, int Added) Resume(ReadOnlySpan<Resource> before, ReadOnlySpan<Resource> after)
    {
        for (var sum = 1; sum <= 2 * Ahead; sum++)
        {
            // Nearly every change is another version of an object, in its place.
            for (var k = 0; k <= sum + 1; k++)
            {
                var removed = (sum / 2) + ((k & 1) == 0 ? k / 2 : -((k + 1) / 2));
                var added = sum - removed;
                if (removed >= 0 && added >= 0 && removed <= before.Length && added <= after.Length
                    && (removed == before.Length ? added == after.Length : added < after.Length && ReferenceEquals(before[removed], after[added])))
                {
                    return (removed, added);
                }
            }
        }

        return (before.Length > 0 ? 1 : 0, after.Length > 0 ? 1 : 0);
    }
}
