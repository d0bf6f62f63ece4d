namespace Keepalive.Agent.Apply.Tracking;

/// <summary>Releases memory that collections do not need. Those that every pass uses are cleared: a start fills them once. Those that stay are made smaller: a
/// table that is full doubles.</summary>
internal static class Spare
{
    /// <summary>The number of elements for which memory is kept.</summary>
    private const int Kept = 1024;

    /// <summary>Makes a table smaller if a quarter of it or more is unused. It keeps room for an eighth more elements.</summary>
    public static void Trim<TKey, TValue>(Dictionary<TKey, TValue> dictionary)
        where TKey : notnull
    {
        if (IsLarge(dictionary.Count, dictionary.Capacity))
        {
            dictionary.TrimExcess(Room(dictionary.Count));
        }
    }

    /// <summary>The same for a set.</summary>
    public static void Trim<T>(HashSet<T> set)
    {
        if (IsLarge(set.Count, set.Capacity))
        {
            set.TrimExcess(Room(set.Count));
        }
    }

    public static void Clear<T>(List<T> list)
    {
        list.Clear();
        if (list.Capacity > Kept)
        {
            list.Capacity = 0;
        }
    }

    public static void Clear<TKey, TValue>(Dictionary<TKey, TValue> dictionary)
        where TKey : notnull
    {
        dictionary.Clear();
        if (dictionary.Capacity > Kept)
        {
            dictionary.TrimExcess();
        }
    }

    private static bool IsLarge(int count, int capacity) => capacity > Kept && count < capacity - (capacity / 4);

    private static int Room(int count) => count + (count / 8);
}
