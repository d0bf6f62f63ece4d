namespace Keepalive.Agent.Kubernetes;

/// <summary>Texts that thousands of objects have, each kept once: namespaces, versions, names of ports.</summary>
internal static class SharedNames
{
    private const int Most = 4096;

    private static readonly Dictionary<string, string> s_names = new(StringComparer.Ordinal);

    /// <summary>Returns an equal text.</summary>
    public static string Of(string text)
    {
        lock (s_names)
        {
            if (s_names.TryGetValue(text, out var known))
            {
                return known;
            }
            if (s_names.Count < Most)
            {
                s_names.Add(text, text);
            }
            return text;
        }
    }
}
