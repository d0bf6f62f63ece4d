namespace Keepalive.Simulator.Tests.Discover;

/// <summary>Runs keepalive-sim so that it can know nothing of its surroundings but what it measures.</summary>
internal static class Stranger
{
    /// <summary>
    /// The prefix of a command line: another user, in a process namespace of its own, with an empty environment. It ends early if that
    /// user sees a process of others or may enter a directory.
    /// </summary>
    /// <param name="directory">Where a copy of the program is put.</param>
    /// <param name="closed">A directory that must be closed to it.</param>
    public static IReadOnlyList<string> Command(string directory, string closed)
    {
        var (simulator, _) = OrdinaryUser.Copy(directory);
        const string check = """
            [ ! -r "$1" ] && [ ! -x "$1" ] || { echo "$1 is open" >&2; exit 1; }
            for one in /proc/[0-9]*; do [ "$one" = /proc/1 ] || { echo "$one is a process of others" >&2; exit 1; }; done
            shift; exec "$@"
            """;
        return
        [
            "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--", "env", "-i", "PATH=/usr/bin:/bin",
            .. OrdinaryUser.Words, "sh", "-c", check, "sh", closed, simulator,
        ];
    }
}
