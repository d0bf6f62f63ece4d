using System.Buffers.Text;
using System.Globalization;
using System.Text;
using System.Text.Unicode;
using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Linux;
using Keepalive.Linux.Files;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Sockets;

/// <summary>
/// What the agent must know after a restart, however it ended: whose values each socket has and what to give back. A text file in the run
/// directory, one fact a line, later lines override earlier ones:
/// <code>
/// keepalive-agent-state 1 BOOT-ID
/// set NETNS COOKIE FOUND REPLACED SET POLICY DESTINATION    noted before the socket is written
/// ok                                                        every "set" above was carried out
/// kept NETNS COOKIE FOUND                                   looked at, left as it is
/// application NETNS COOKIE                                  changed by the application since
/// forget NETNS COOKIE
/// arriving VALUES…                                          what new connections are set to before each is noted; "-" leaves one alone
/// </code>
/// Values are <c>on,TIME,INTERVAL,PROBES</c> in seconds. Socket cookies are unique until the next boot, so another boot id voids the file.
/// </summary>
internal sealed class StateFile : IDisposable
{
    private const string Magic = "keepalive-agent-state 1 ";
    private const int CompactAt = 128 * 1024;
    private const string Consequence = "values that an agent set are taken for the applications' own and are not given back";

    private readonly string _path;
    private readonly string _bootId;
    private AppendLog _log;
    private long _compactedLength;
    private bool _unconfirmed;
    private string _arriving = "";

    private StateFile(string path, string bootId, AppendLog log)
    {
        _path = path;
        _bootId = bootId;
        _log = log;
    }

    /// <summary>This boot's id (/proc/sys/kernel/random/boot_id).</summary>
    public static string CurrentBoot() => File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();

    /// <summary>Reads what a predecessor left; empty when there is none, or it is from another boot.</summary>
    /// <param name="path">The file.</param>
    /// <param name="bootId">This boot's id.</param>
    /// <param name="warn">Told of anything in it that cannot be understood, and what follows from that.</param>
    /// <exception cref="UntrustedFileException">Somebody else could have written it.</exception>
    public static InheritedSockets Load(string path, string bootId, Action<string> warn)
    {
        var known = new InheritedSockets();
        string[] lines;
        try
        {
            if (OwnFile.Read(path) is not { } content)
            {
                return known;
            }
            lines = Encoding.UTF8.GetString(content).Split('\n');
        }
        catch (IOException e) when (e is not UntrustedFileException)
        {
            warn($"the state file cannot be read ({e.Message}); {Consequence}");
            return known;
        }
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
        // A line that was being written when its writer was killed has no end of line, and is the last element here.
        for (var i = 1; i < lines.Length - 1; i++)
        {
            if (!Take(lines[i].Trim('\0').Split(' '), known, open))
            {
                firstBad = bad++ == 0 ? i + 1 : firstBad;
            }
        }
        if (bad > 0)
        {
            warn($"{path}:{firstBad}: {bad} {(bad == 1 ? "line" : "lines")} cannot be understood; of the sockets they tell of, {Consequence}");
        }
        return known;
    }

    /// <summary>Takes in one line; false when it makes no sense.</summary>
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

    /// <summary>Starts a new file with what is known and puts it in the place of the old one. Where there is no room for both, the old one is gone on
    /// with: what was set can be given back all the same.</summary>
    /// <param name="path">The file.</param>
    /// <param name="bootId">This boot's id.</param>
    /// <param name="known">What <see cref="Load"/> has read of it.</param>
    /// <exception cref="LinuxException">The directory cannot be written to.</exception>
    public static StateFile Create(string path, string bootId, IReadOnlyDictionary<(ulong Namespace, ulong Cookie), SocketMemory> known)
    {
        var arriving = known is InheritedSockets inherited ? Arriving(inherited.Arriving) : "";
        AppendLog log;
        try
        {
            log = WriteNew(path, bootId, known, arriving);
        }
        catch (LinuxException e) when (e.Errno is Errno.ENOSPC or Errno.EDQUOT && Encoding.UTF8.GetBytes(Magic + bootId + "\n") is var head
            && OwnFile.Read(path) is { } old && old.AsSpan().StartsWith(head))
        {
            log = AppendLog.Continue(path, old.AsSpan().LastIndexOf((byte)'\n') + 1);
        }
        var file = new StateFile(path, bootId, log) { _arriving = arriving };
        file._compactedLength = file._log.Length;
        return file;
    }

    /// <summary>Notes, before the socket is written, what is about to replace what.</summary>
    /// <exception cref="LinuxException">No room: the socket must not be written.</exception>
    public void Intend(ulong netns, ulong cookie, KeepaliveOptions found, KeepaliveOptions replaced, KeepaliveOptions set, CompiledRule? rule)
    {
        AppendSet(_log, netns, cookie, found, replaced, set, rule);
        _unconfirmed = true;
    }

    /// <summary>Notes that every intent so far was carried out, or overtaken by a later line.</summary>
    public void Confirm()
    {
        if (_unconfirmed)
        {
            _unconfirmed = !Try(() => _log.Append("ok\n"u8));
        }
    }

    /// <summary>Notes what is remembered of a socket that was not written to. Without room for it the file says what was so before: a
    /// restart then judges by older knowledge, and no socket has values nobody knows of.</summary>
    public void Note(ulong netns, ulong cookie, SocketMemory? memory) => Try(() => Append(_log, netns, cookie, memory));

    /// <summary>Notes what new connections are set to from now on, before any is. It takes the place of what was noted so before.</summary>
    /// <exception cref="LinuxException">No room: none must be set.</exception>
    public void Announce(IEnumerable<KeepaliveSettings> settings)
    {
        var line = Arriving(settings);
        if (line != _arriving)
        {
            _log.Append(Encoding.UTF8.GetBytes(line));
            _arriving = line;
        }
    }

    /// <summary>The same, where what was noted before may as well stand.</summary>
    public void TryAnnounce(IEnumerable<KeepaliveSettings> settings) => Try(() => Announce(settings));

    /// <summary>Rewrites the file when most of it has been overtaken.</summary>
    public void CompactWhenWorthwhile(Func<IReadOnlyDictionary<(ulong Namespace, ulong Cookie), SocketMemory>> known)
    {
        if (_log.Length > Math.Max(CompactAt, 3 * _compactedLength))
        {
            Try(() =>
            {
                var log = WriteNew(_path, _bootId, known(), _arriving);
                _log.Dispose();
                _log = log;
                _unconfirmed = false;
            });
            _compactedLength = _log.Length;
        }
    }

    public void Dispose() => _log.Dispose();

    private static bool Try(Action write)
    {
        try
        {
            write();
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static AppendLog WriteNew(
        string path, string bootId, IReadOnlyDictionary<(ulong Namespace, ulong Cookie), SocketMemory> known, string arriving)
    {
        var log = AppendLog.Create(path + ".new");
        try
        {
            log.Append(Encoding.UTF8.GetBytes(Magic + bootId + "\n" + arriving));
            // Confirmed ones first, so that the one "ok" speaks of them alone.
            foreach (var ((netns, cookie), memory) in known)
            {
                if (memory.Replaces is null)
                {
                    Append(log, netns, cookie, memory);
                }
            }
            log.Append("ok\n"u8);
            foreach (var ((netns, cookie), memory) in known)
            {
                if (memory.Replaces is { } replaced)
                {
                    AppendSet(log, netns, cookie, memory.Found, replaced, memory.Set, null);
                }
            }
            File.Move(path + ".new", path, overwrite: true);
            return log;
        }
        catch
        {
            log.Dispose();
            File.Delete(path + ".new");
            throw;
        }
    }

    private static void Append(AppendLog log, ulong netns, ulong cookie, SocketMemory? memory)
    {
        if (memory is { Holder: SocketHolder.Agent } agent)
        {
            AppendSet(log, netns, cookie, agent.Found, agent.Set, agent.Set, null);
            return;
        }
        Span<byte> line = stackalloc byte[160];
        var n = 0;
        _ = memory switch
        {
            { Holder: SocketHolder.Kept } kept => Utf8.TryWrite(line, $"kept {netns} {cookie} {new Values(kept.Found)}\n", out n),
            { Holder: SocketHolder.Application } => Utf8.TryWrite(line, $"application {netns} {cookie}\n", out n),
            _ => Utf8.TryWrite(line, $"forget {netns} {cookie}\n", out n),
        };
        log.Append(line[..n]);
    }

    private static void AppendSet(
        AppendLog log, ulong netns, ulong cookie, KeepaliveOptions found, KeepaliveOptions replaced, KeepaliveOptions set, CompiledRule? rule)
    {
        // Kubernetes names are at most 253 characters each: a policy and a destination fit.
        Span<byte> line = stackalloc byte[1280];
        if (Utf8.TryWrite(
            line,
            $"set {netns} {cookie} {new Values(found)} {new Values(replaced)} {new Values(set)} {rule?.Policy ?? "-"} {rule?.Destination ?? "-"}\n",
            out var n)
            || Utf8.TryWrite(line, $"set {netns} {cookie} {new Values(found)} {new Values(replaced)} {new Values(set)} - -\n", out n))
        {
            log.Append(line[..n]);
        }
    }

    private static string Arriving(IEnumerable<KeepaliveSettings> settings)
    {
        static string Word(int? value) => value?.ToString(CultureInfo.InvariantCulture) ?? "-";
        return $"arriving {string.Join(' ', settings.Distinct().Select(s => $"{Word(s.Time)},{Word(s.Interval)},{Word(s.Probes)}"))}\n";
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

    private readonly struct Values(KeepaliveOptions options) : IUtf8SpanFormattable
    {
        public bool TryFormat(Span<byte> destination, out int written, ReadOnlySpan<char> format, IFormatProvider? provider)
        {
            written = 0;
            var word = options.Enabled ? "on"u8 : "off"u8;
            if (!word.TryCopyTo(destination))
            {
                return false;
            }
            written = word.Length;
            return TryAppend(destination, options.Time, ref written)
                && TryAppend(destination, options.Interval, ref written)
                && TryAppend(destination, options.Probes, ref written);
        }

        private static bool TryAppend(Span<byte> destination, int value, ref int written)
        {
            if (written >= destination.Length)
            {
                return false;
            }
            destination[written++] = (byte)',';
            if (!Utf8Formatter.TryFormat(value, destination[written..], out var digits))
            {
                return false;
            }
            written += digits;
            return true;
        }
    }
}
