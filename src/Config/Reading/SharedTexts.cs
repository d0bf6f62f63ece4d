using System.Text.Json;

namespace Keepalive.Config.Reading;

/// <summary>Texts of the API server's objects: many have the same namespaces, labels, protocols and names of ports, and share them.</summary>
internal static class SharedTexts
{
    private const int Longest = 32;

    // One text for each hash: a rare one gives way, and nothing grows.
    private static readonly string?[] s_recent = new string?[2048];

    /// <summary>The string at the reader's position.</summary>
    public static string Read(in Utf8JsonReader reader)
    {
        if (reader.HasValueSequence || reader.ValueSpan.Length > Longest)
        {
            return reader.GetString()!;
        }

        Span<char> buffer = stackalloc char[Longest];
        var text = buffer[..reader.CopyString(buffer)];
        ref var recent = ref s_recent[(uint)string.GetHashCode(text) % (uint)s_recent.Length];
        if (recent is { } known && text.SequenceEqual(known))
        {
            return known;
        }

        return recent = text.ToString();
    }
}
