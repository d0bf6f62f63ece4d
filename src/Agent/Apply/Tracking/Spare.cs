namespace Keepalive.Agent.Apply.Tracking;

/// <summary>Clears collections that every pass uses. Those that had very many elements release their memory: a start fills them once.</summary>
internal static class Spare
{
    /// <summary>The number of elements for which memory is kept.</summary>
    private const int Kept = 1024;

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
}
