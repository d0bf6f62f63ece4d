using System.Globalization;
using Keepalive.Agent.Sockets;
using Keepalive.Config;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Tests.Sockets;

/// <summary>The reader of the first version's state file, with unchanged code. A node that is downgraded to it must still restore its
/// sockets.</summary>
internal static class FirstStateReader
{
    private const string Magic = "keepalive-agent-state 1 ";
    private const string Consequence = "values that an agent set are treated as the applications' own and are not restored";

    public static InheritedSockets Load(string path, string bootId, Action<string> warn)
    {
        var known = new InheritedSockets();
        var lines = File.ReadAllText(path).Split('\n');
        if (!lines[0].StartsWith(Magic, StringComparison.Ordinal))
        {
            warn($"{path} is not a state file of this version; {Consequence}");
            return known;
        }
        if (lines[0] != Magic + bootId)
        {
            return known;
        }
        var open = new List<(ulong, ulong)>();
        var (bad, firstBad) = (0, 0);
        // The line that a killed writer was writing has no end of line. It is the last element here.
        for (var i = 1; i < lines.Length - 1; i++)
        {
            if (!Take(lines[i].Trim('\0').Split(' '), known, open))
            {
                firstBad = bad++ == 0 ? i + 1 : firstBad;
            }
        }
        if (bad > 0)
        {
            warn($"{path}:{firstBad}: {bad} {(bad == 1 ? "line" : "lines")} are invalid; for their sockets, {Consequence}");
        }
        return known;
    }

    private static bool Take(string[] words, InheritedSockets known, List<(ulong, ulong)> open)
    {
        if (words[0] == "arriving")
        {
            var settings = words.Skip(1).Where(word => word.Length > 0).Select(ParseSettings).ToList();
            known.Arriving.Clear();
            known.Arriving.AddRange(settings.OfType<KeepaliveSettings>());
            return settings.TrueForAll(parsed => parsed is not null);
        }
        if (words is ["ok"])
        {
            foreach (var id in open)
            {
                if (known.TryGetValue(id, out var memory))
                {
                    known[id] = memory with { Replaces = null };
                }
            }
            open.Clear();
            return true;
        }
        if (words.Length < 3 || !ulong.TryParse(words[1], out var netns) || !ulong.TryParse(words[2], out var cookie))
        {
            return false;
        }
        var key = (netns, cookie);
        switch (words[0])
        {
            case "set" when words.Length >= 6 && Parse(words[3]) is { } found && Parse(words[4]) is { } old && Parse(words[5]) is { } set:
                known[key] = new SocketMemory(SocketHolder.Agent, found, set, Replaces: old);
                open.Add(key);
                return true;
            case "kept" when words.Length >= 4 && Parse(words[3]) is { } kept:
                known[key] = SocketMemory.OfKept(kept);
                return true;
            case "application":
                known[key] = SocketMemory.OfApplication;
                return true;
            case "forget":
                known.Remove(key);
                return true;
            default:
                return false;
        }
    }

    private static KeepaliveSettings? ParseSettings(string text)
    {
        var parts = text.Split(',');
        return parts.Length == 3 && TryParse(parts[0], KeepaliveSettings.MaxTime, out var time) && TryParse(parts[1], KeepaliveSettings.MaxInterval, out var interval) && TryParse(parts[2], KeepaliveSettings.MaxProbes, out var probes)
            ? new KeepaliveSettings(time, interval, probes)
            : null;

        static bool TryParse(string word, int most, out int? value)
        {
            value = int.TryParse(word, CultureInfo.InvariantCulture, out var number) ? number : null;
            return word == "-" || (value > 0 && value <= most);
        }
    }

    private static KeepaliveOptions? Parse(string text)
    {
        var parts = text.Split(',');
        return parts.Length == 4 && parts[0] is "on" or "off"
            && int.TryParse(parts[1], out var time) && int.TryParse(parts[2], out var interval) && int.TryParse(parts[3], out var probes)
            && time >= 0 && interval >= 0 && probes >= 0   // sysctls allow values that a socket cannot have
            ? new KeepaliveOptions(parts[0] == "on", time, interval, probes)
            : null;
    }
}
