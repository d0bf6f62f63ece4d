using System.Globalization;

namespace Keepalive.Agent.Sockets;

/// <summary>The memory of a socket's TCP_USER_TIMEOUT, in milliseconds, 0 for none.</summary>
/// <param name="Found">Its value at the agent's first look.</param>
/// <param name="Replaced">The value that the last write replaced.</param>
/// <param name="Set">The value that was written.</param>
internal readonly record struct UserTimeoutMemory(int Found, int Replaced, int Set)
{
    public const string Word = "user-timeout=";

    /// <summary>Bytes of a blank, the word and three numbers of ten digits.</summary>
    public const int MaxText = 1 + 13 + 30 + 2;

    public static UserTimeoutMemory? Parse(string text)
    {
        var parts = text.Split(',');
        return parts.Length == 3 && TryParse(parts[0], out var found) && TryParse(parts[1], out var replaced) && TryParse(parts[2], out var set)
            ? new UserTimeoutMemory(found, replaced, set)
            : null;

        static bool TryParse(string word, out int value) => int.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out value);
    }
}
