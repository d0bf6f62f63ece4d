using System.Globalization;
using System.Text;
using Keepalive.Config;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Sockets;

/// <summary>Reads the lines of a state file, with checksums or, from an earlier version, without.</summary>
internal sealed class StateReader
{
    /// <summary>The first word behind the destination of a "set".</summary>
    private const int FirstMore = 8;

    private readonly InheritedSockets _known;
    private readonly List<(ulong, ulong)> _open = [];

    /// <summary>Lines since the last "set": its successor has their checksum.</summary>
    private readonly List<(string[] Words, int Number)> _since = [];

    private uint _sum;

    public StateReader(InheritedSockets known) => _known = known;

    /// <summary>Lines that are invalid, and the number of the first.</summary>
    public (int Count, int First) Bad { get; private set; }

    /// <summary>Lines whose checksum is wrong, and the number of the first.</summary>
    public (int Count, int First) Damaged { get; private set; }

    /// <summary>Lines that the checksum of the line behind them does not match: which of them are damaged is not known, and none is believed.</summary>
    public List<(int First, int Last, bool MayBeSets)> Doubtful { get; } = [];

    /// <param name="lines">All lines behind the first, with the ends of those that have one.</param>
    public void Read(ReadOnlySpan<byte> lines)
    {
        // A last line without an end is what a full file system leaves: its socket was not written to.
        var number = 2;
        for (int end; (end = lines.IndexOf((byte)'\n')) >= 0; lines = lines[(end + 1)..], number++)
        {
            Line(lines[..(end + 1)], number);
        }
        Flush();
    }

    private void Line(ReadOnlySpan<byte> line, int number)
    {
        var words = Encoding.UTF8.GetString(line[..^1]).Trim('\0').Split(' ');
        if (words[0] != "set")
        {
            _since.Add((words, number));
            _sum = StateChecksum.Add(_sum, line);
            return;
        }
        if (StateChecksum.Find(line[..^1], out var rest) is not { } checksum)
        {
            Flush();
            // The first version had neither a checksum nor anything else behind the destination.
            if (words.Length > FirstMore)
            {
                CountDamaged(number);
            }
            else
            {
                Understand(words, number);
            }
            return;
        }
        if (checksum.Line != StateChecksum.Add(0, rest))
        {
            // Its checksum of the lines before is not valid either.
            Flush();
            CountDamaged(number);
            return;
        }
        if (checksum.Before != _sum)
        {
            if (_since.Count == 0)
            {
                CountDamaged(number);   // lines are missing
            }
            else
            {
                Doubt();
            }
            _since.Clear();
        }
        Flush();
        Understand(words, number);
    }

    private void Flush()
    {
        _since.ForEach(line => Understand(line.Words, line.Number));
        _since.Clear();
        _sum = 0;
    }

    private void Understand(string[] words, int number)
    {
        if (!Take(words))
        {
            Bad = (Bad.Count + 1, Bad.Count == 0 ? number : Bad.First);
        }
    }

    private void CountDamaged(int number) => Damaged = (Damaged.Count + 1, Damaged.Count == 0 ? number : Damaged.First);

    private void Doubt()
    {
        if (_since is [var (_, only)])
        {
            CountDamaged(only);
            return;
        }
        // A "set" that is none any more may be one whose first word is damaged.
        var mayBeSets = _since.Exists(line => line.Words[0] is not ("ok" or "kept" or "application" or "forget" or "arriving"));
        Doubtful.Add((_since[0].Number, _since[^1].Number, mayBeSets));
    }

    /// <summary>Reads one line; false if it is invalid.</summary>
    private bool Take(string[] words)
    {
        if (words[0] == "arriving")
        {
            var settings = words.Skip(1).Where(word => word.Length > 0).Select(ParseSettings).ToList();
            _known.Arriving.Clear();
            _known.Arriving.AddRange(settings.OfType<KeepaliveSettings>());
            return settings.TrueForAll(parsed => parsed is not null);
        }
        if (words is ["ok"])
        {
            foreach (var id in _open)
            {
                if (_known.TryGetValue(id, out var memory))
                {
                    _known[id] = memory with { Replaces = null };
                }
            }
            _open.Clear();
            return true;
        }
        if (words.Length < 3 || !ulong.TryParse(words[1], out var netns) || !ulong.TryParse(words[2], out var cookie))
        {
            return false;
        }
        var key = (netns, cookie);
        switch (words[0])
        {
            case "set" when words.Length >= 6 && Parse(words[3]) is { } found && Parse(words[4]) is { } old && Parse(words[5]) is { } set
                && TryParseMore(words.AsSpan(Math.Min(words.Length, FirstMore)), out var timeout):
                _known[key] = new SocketMemory(SocketHolder.Agent, found, set, Replaces: old) { UserTimeout = timeout };
                _open.Add(key);
                return true;
            case "kept" when words.Length >= 4 && Parse(words[3]) is { } kept:
                _known[key] = SocketMemory.OfKept(kept);
                return true;
            case "application":
                _known[key] = SocketMemory.OfApplication;
                return true;
            case "forget":
                _known.Remove(key);
                return true;
            default:
                return false;
        }
    }

    /// <summary>Reads the words behind the destination. Words of later versions are passed over.</summary>
    private static bool TryParseMore(ReadOnlySpan<string> words, out UserTimeoutMemory? timeout)
    {
        timeout = null;
        foreach (var word in words)
        {
            if (word == UserTimeoutMemory.ApplicationsWord)
            {
                timeout = timeout is { } known ? known with { IsApplications = true } : null;
            }
            else if (word.StartsWith(UserTimeoutMemory.Word, StringComparison.Ordinal) && (timeout = UserTimeoutMemory.Parse(word[UserTimeoutMemory.Word.Length..])) is null)
            {
                return false;
            }
        }
        return true;
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
            && time >= 0 && interval >= 0 && probes >= 0   // a sysctl's are beyond what a socket can have of its own
            ? new KeepaliveOptions(parts[0] == "on", time, interval, probes)
            : null;
    }
}
