using System.Globalization;

namespace Keepalive.Agent.Sockets;

/// <summary>The memory of a socket's TCP_USER_TIMEOUT, in milliseconds, 0 for none.</summary>
/// <param name="Found">Its value at the agent's first look, to be restored.</param>
/// <param name="Replaced">The value that the last write replaced.</param>
/// <param name="Set">The value that was written; equal to <paramref name="Found"/> if nothing was.</param>
internal readonly record struct UserTimeoutMemory(int Found, int Replaced, int Set)
{
    public const string Word = "user-timeout=";

    /// <summary>A word of its own: the version before reads three numbers behind <see cref="Word"/> and passes over other words.</summary>
    public const string ApplicationsWord = "user-timeout-by=application";

    /// <summary>Bytes of a blank, the word and three numbers of ten digits, and of the other word.</summary>
    public const int MaxText = 1 + 13 + 30 + 2 + 1 + 27;

    /// <summary>Whether the application has changed the value after the agent's first look. The agent does not change it from then
    /// on.</summary>
    public bool IsApplications { get; init; }

    public static UserTimeoutMemory OfApplication(int current) => new(current, current, current) { IsApplications = true };

    /// <summary>Whether nobody else has changed the value since the agent's last write, which may be unfinished.</summary>
    public bool IsAsLeft(int current, bool isUnfinished) => !IsApplications && (current == Set || (isUnfinished && current == Replaced));

    public static UserTimeoutMemory? Parse(string text)
    {
        var parts = text.Split(',');
        return parts.Length == 3 && TryParse(parts[0], out var found) && TryParse(parts[1], out var replaced) && TryParse(parts[2], out var set)
            ? new UserTimeoutMemory(found, replaced, set)
            : null;

        static bool TryParse(string word, out int value) => int.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out value);
    }
}
