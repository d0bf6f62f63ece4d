using System.Buffers.Text;
using System.Text;
using System.Text.Unicode;
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
/// </code>
/// Values are <c>on,TIME,INTERVAL,PROBES</c> in seconds. Socket cookies are unique until the next boot, so another boot id voids the file.
/// </summary>
internal sealed class StateFile : IDisposable
{
    private const string Magic = "keepalive-agent-state 1 ";
    private const int CompactAt = 128 * 1024;

    private readonly string _path;
    private readonly string _bootId;
    private AppendLog _log;
    private long _compactedLength;
    private bool _unconfirmed;

    private StateFile(string path, string bootId, AppendLog log)
    {
        _path = path;
        _bootId = bootId;
        _log = log;
    }

    /// <summary>This boot's id (/proc/sys/kernel/random/boot_id).</summary>
    public static string CurrentBoot() => File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();

    /// <summary>Reads what a predecessor left; empty when there is none, or it is from another boot or unreadable.</summary>
    public static Dictionary<(ulong Namespace, ulong Cookie), SocketMemory> Load(string path, string bootId)
    {
        var known = new Dictionary<(ulong, ulong), SocketMemory>();
        byte[] bytes;
        try
        {
            bytes = AppendLog.ReadAll(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return known;
        }
        var lines = Encoding.UTF8.GetString(bytes).Split('\n');
        if (lines[0] != Magic + bootId)
        {
            return known;
        }
        var open = new List<(ulong, ulong)>();
        // A line that was being written when its writer was killed has no end of line, and is the last element here.
        foreach (var line in lines.AsSpan(1, Math.Max(0, lines.Length - 2)))
        {
            var words = line.Split(' ');
            if (words[0] == "ok")
            {
                foreach (var id in open)
                {
                    if (known.TryGetValue(id, out var memory))
                    {
                        known[id] = memory with { Replaces = null };
                    }
                }
                open.Clear();
            }
            if (words.Length < 3 || !ulong.TryParse(words[1], out var netns) || !ulong.TryParse(words[2], out var cookie))
            {
                continue;
            }
            var key = (netns, cookie);
            switch (words[0])
            {
                case "set" when words.Length >= 6 && Parse(words[3]) is { } found && Parse(words[4]) is { } old && Parse(words[5]) is { } set:
                    known[key] = new SocketMemory(SocketHolder.Agent, found, set, Replaces: old);
                    open.Add(key);
                    break;
                case "kept" when words.Length >= 4 && Parse(words[3]) is { } kept:
                    known[key] = SocketMemory.OfKept(kept);
                    break;
                case "application":
                    known[key] = SocketMemory.OfApplication;
                    break;
                case "forget":
                    known.Remove(key);
                    break;
            }
        }
        return known;
    }

    /// <summary>Starts a new file with what is known and puts it in the place of the old one.</summary>
    /// <exception cref="LinuxException">The directory cannot be written to.</exception>
    public static StateFile Create(string path, string bootId, IReadOnlyDictionary<(ulong Namespace, ulong Cookie), SocketMemory> known)
    {
        var file = new StateFile(path, bootId, WriteNew(path, bootId, known));
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
            _log.Append("ok\n"u8);
            _unconfirmed = false;
        }
    }

    /// <summary>Notes what is remembered of a socket that was not written to.</summary>
    public void Note(ulong netns, ulong cookie, SocketMemory? memory) => Append(_log, netns, cookie, memory);

    /// <summary>Rewrites the file when most of it has been overtaken.</summary>
    public void CompactWhenWorthwhile(Func<IReadOnlyDictionary<(ulong Namespace, ulong Cookie), SocketMemory>> known)
    {
        if (_log.Length > Math.Max(CompactAt, 3 * _compactedLength))
        {
            var log = WriteNew(_path, _bootId, known());
            _log.Dispose();
            _log = log;
            _compactedLength = log.Length;
            _unconfirmed = false;
        }
    }

    public void Dispose() => _log.Dispose();

    private static AppendLog WriteNew(string path, string bootId, IReadOnlyDictionary<(ulong Namespace, ulong Cookie), SocketMemory> known)
    {
        var log = AppendLog.Create(path + ".new");
        try
        {
            log.Append(Encoding.UTF8.GetBytes(Magic + bootId + "\n"));
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

    private static KeepaliveOptions? Parse(string text)
    {
        var parts = text.Split(',');
        return parts.Length == 4 && parts[0] is "on" or "off"
            && int.TryParse(parts[1], out var time) && int.TryParse(parts[2], out var interval) && int.TryParse(parts[3], out var probes)
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
