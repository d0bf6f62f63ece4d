namespace Keepalive.Agent.Apply.Tracking;

/// <summary>An immutable value that many sockets have: most sockets of a policy have equal values, and so refer to one object.</summary>
internal sealed class Shared<T>
    where T : struct, IEquatable<T>
{
    // Values that are used often stay here. A value that was replaced by another is shared no longer, and is correct all the same.
    private static readonly Shared<T>?[] s_recent = new Shared<T>?[1024];

    // Sockets that follow each other mostly have equal values.
    private static Shared<T>? s_last;

    private Shared(T value) => Value = value;

    public T Value { get; }

    /// <summary>Returns an object with a value; null for none.</summary>
    public static Shared<T>? Of(T? value)
    {
        if (value is not { } some)
        {
            return null;
        }
        // Any thread may replace them meanwhile.
        if (s_last is { } last && last.Value.Equals(some))
        {
            return last;
        }
        ref var slot = ref s_recent[(uint)some.GetHashCode() % (uint)s_recent.Length];
        return s_last = slot is { } known && known.Value.Equals(some) ? known : slot = new Shared<T>(some);
    }
}
