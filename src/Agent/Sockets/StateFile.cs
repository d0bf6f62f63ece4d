using System.Globalization;
using System.Text;
using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Linux;
using Keepalive.Linux.Files;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Sockets;

/// <summary>
/// The state that the agent needs after a restart, however it ended: the owner of each socket's values, and the values to restore. A text file in the run
/// directory, one fact a line, later lines override earlier ones:
/// <code>
/// keepalive-agent-state 1 BOOT-ID
/// set NETNS COOKIE FOUND REPLACED SET POLICY DESTINATION [user-timeout=FOUND,REPLACED,SET [user-timeout-by=application]] crc=LINE,BEFORE
///                                                           noted before the socket is written
/// ok                                                        every "set" above was carried out
/// kept NETNS COOKIE FOUND                                   looked at, left as it is
/// application NETNS COOKIE                                  changed by the application since
/// forget NETNS COOKIE
/// arriving VALUES…                                          what new connections are set to before each is noted; "-" is not set
/// </code>
/// LINE is the CRC-32C of the line before it, BEFORE that of the lines since the "set" before, each with its end.
/// Values are <c>on,TIME,INTERVAL,PROBES</c> in seconds. Socket cookies are unique until the next boot, so another boot id voids the file.
/// The first version had nothing behind DESTINATION. It reads this form, passes over what is new there, and when it rewrites the file that is lost.
/// </summary>
internal sealed class StateFile : IDisposable
{
    private const string Magic = "keepalive-agent-state 1 ";
    private const int CompactAt = 128 * 1024;

    /// <summary>Fewer bytes than a "set" line has.</summary>
    private const int Line = 64;

    private const string Consequence = "values that an agent set are treated as the applications' own and are not restored";

    private readonly string _path;
    private readonly string _bootId;
    private StateWriter _log;
    private long _compactedLength;
    private bool _unconfirmed;
    private bool _hasPlans;
    private bool _isBulk;
    private string _arriving = "";

    private StateFile(string path, string bootId, StateWriter log)
    {
        _path = path;
        _bootId = bootId;
        _log = log;
    }

    /// <summary>This boot's id (/proc/sys/kernel/random/boot_id).</summary>
    public static string CurrentBoot() => File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();

    /// <summary>When this boot began. A clock that is set later shifts it; suspended time, which is not counted, makes it later than it was.</summary>
    public static DateTime BootedAt() => DateTime.UtcNow - TimeSpan.FromMilliseconds(Environment.TickCount64);

    /// <summary>Reads what a predecessor left; empty when there is none, or it is from another boot.</summary>
    /// <param name="path">The file.</param>
    /// <param name="bootId">This boot's id.</param>
    /// <param name="warn">Told of anything in it that are invalid, and what follows from that.</param>
    /// <param name="bootedAt">When this boot began: a file written since is not of another. Null leaves that unasked.</param>
    /// <exception cref="UntrustedFileException">Somebody else could have written it.</exception>
    public static InheritedSockets Load(string path, string bootId, Action<string> warn, DateTime? bootedAt = null)
    {
        var known = new InheritedSockets();
        byte[] content;
        try
        {
            if (OwnFile.Read(path) is not { } found)
            {
                return known;
            }
            content = found;
        }
        catch (IOException e) when (e is not UntrustedFileException)
        {
            warn($"the state file cannot be read ({e.Message}); {Consequence}");
            return known;
        }
        var end = content.IndexOf((byte)'\n');
        var first = Encoding.UTF8.GetString(content, 0, end < 0 ? content.Length : end);
        if (!first.StartsWith(Magic, StringComparison.Ordinal))
        {
            warn($"{path} is not a state file of this version; {Consequence}");
            return known;
        }
        if (first != Magic + bootId)
        {
            if (!Guid.TryParseExact(first[Magic.Length..], "D", out _))
            {
                warn($"{path}:1: '{TerminalText.Mask(first[Magic.Length..])}' is not a boot id; {Consequence}");
            }
            else if (File.GetLastWriteTimeUtc(path) > bootedAt)
            {
                warn($"{path}:1: the file was written since this boot began and names another boot; {Consequence}");
            }
            return known;
        }
        if (end < 0)
        {
            return known;
        }
        var reader = new StateReader(known);
        reader.Read(content.AsSpan(end + 1));
        Warn(reader.Bad, "are invalid");
        Warn(reader.Damaged, "damaged: the checksum does not match");
        foreach (var part in reader.Doubtful)
        {
            warn($"{path}:{part.First}: of the lines {part.First} to {part.Last} one or more are damaged: the checksum in line {part.Last + 1} does not match; "
                + (part.MayBeSets ? $"for their sockets, {Consequence}" : "their sockets are judged by the lines before"));
        }
        return known;

        void Warn((int Count, int First) lines, string what)
        {
            if (lines.Count > 0)
            {
                warn($"{path}:{lines.First}: {lines.Count} {(lines.Count == 1 ? "line" : "lines")} {what}; for their sockets, {Consequence}");
            }
        }
    }

    /// <summary>Starts a new file with what is known and puts it in the place of the old one. Where there is no room for both, the old one is gone on
    /// with: sockets that were set can be restored all the same.</summary>
    /// <param name="path">The file.</param>
    /// <param name="bootId">This boot's id.</param>
    /// <param name="known">The result of <see cref="Load"/>.</param>
    /// <exception cref="LinuxException">The directory cannot be written to.</exception>
    public static StateFile Create(string path, string bootId, IReadOnlyDictionary<(ulong Namespace, ulong Cookie), SocketMemory> known)
    {
        var arriving = known is InheritedSockets inherited ? Arriving(inherited.Arriving) : "";
        StateWriter log;
        try
        {
            log = WriteNew(path, bootId, known, arriving);
        }
        catch (LinuxException e) when (e.Errno is Errno.ENOSPC or Errno.EDQUOT && Encoding.UTF8.GetBytes(Magic + bootId + "\n") is var head
            && OwnFile.Read(path) is { } old && old.AsSpan().StartsWith(head))
        {
            var length = old.AsSpan().LastIndexOf((byte)'\n') + 1;
            log = new StateWriter(AppendLog.Continue(path, length), StateChecksum.BehindLastSet(old.AsSpan(0, length)));
        }
        var file = new StateFile(path, bootId, log) { _arriving = arriving };
        file._compactedLength = file._log.Length;
        return file;
    }

    /// <summary>Notes, before the socket is written, what is about to replace what.</summary>
    /// <exception cref="LinuxException">No room: the socket must not be written.</exception>
    public void Intend(ulong netns, ulong cookie, KeepaliveOptions found, KeepaliveOptions replaced, KeepaliveOptions set, CompiledRule? rule, UserTimeoutMemory? timeout = null)
    {
        _log.Set(netns, cookie, found, replaced, set, rule, timeout);
        _log.Write();
        _unconfirmed = true;
    }

    /// <summary>Prepares the note of an intent, to be written together with others by <see cref="TryWritePlans"/>: the socket must not be
    /// written before that.</summary>
    public void Plan(ulong netns, ulong cookie, KeepaliveOptions found, KeepaliveOptions replaced, KeepaliveOptions set, CompiledRule? rule, UserTimeoutMemory? timeout = null)
    {
        _log.Set(netns, cookie, found, replaced, set, rule, timeout);
        _hasPlans = true;
    }

    /// <summary>Writes the prepared notes. Returns false if there is no room for all of them; then none is written, and they are
    /// dropped.</summary>
    public bool TryWritePlans()
    {
        var isWritten = TryWrite();
        _unconfirmed |= isWritten && _hasPlans;
        _hasPlans = false;
        return isWritten;
    }

    /// <summary>Lets notes that may be late wait for the next write, until <see cref="EndBulk"/>: many sockets are changed.</summary>
    public void BeginBulk() => _isBulk = true;

    /// <summary>Ends what <see cref="BeginBulk"/> began, and writes the notes that wait.</summary>
    public void EndBulk()
    {
        _isBulk = false;
        TryWrite();
    }

    /// <summary>Notes that every intent so far was carried out, or overtaken by a later line.</summary>
    public void Confirm()
    {
        if (_unconfirmed)
        {
            _log.Line("ok\n"u8);
            _unconfirmed = !TryWrite();
        }
    }

    /// <summary>Notes what is remembered of a socket that was not written to. Without room for it the file says what was so before: a
    /// restart then judges by older knowledge, and no socket has values nobody knows of. So does a note that waits in a bulk.</summary>
    public void Note(ulong netns, ulong cookie, SocketMemory? memory)
    {
        _log.Note(netns, cookie, memory);
        if (!_hasPlans && (!_isBulk || _log.HasEnough))
        {
            TryWrite();
        }
    }

    /// <summary>Notes what new connections are set to from now on, before any is. It takes the place of what was noted so before.</summary>
    /// <exception cref="LinuxException">No room: none must be set.</exception>
    public void Announce(IEnumerable<KeepaliveSettings> settings)
    {
        var line = Arriving(settings);
        if (line != _arriving)
        {
            _log.Arriving(line);
            _log.Write();
            _arriving = line;
        }
    }

    /// <summary>The same, where what was noted before may as well stand.</summary>
    public void TryAnnounce(IEnumerable<KeepaliveSettings> settings) => Try(() => Announce(settings));

    /// <summary>Rewrites the file when most of it has been overtaken.</summary>
    /// <param name="known">Returns what is remembered of sockets.</param>
    /// <param name="sockets">Returns the number of sockets of which something may be remembered: a start notes each once, and overtakes nothing.</param>
    public void CompactWhenWorthwhile(Func<IEnumerable<KeyValuePair<(ulong Namespace, ulong Cookie), SocketMemory>>> known, Func<int> sockets)
    {
        if (_log.Length > Math.Max(CompactAt, 3 * _compactedLength) && _log.Length > 3L * Line * sockets())
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

    private bool TryWrite()
    {
        try
        {
            _log.Write();
            return true;
        }
        catch (LinuxException)
        {
            return false;
        }
    }

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

    private static StateWriter WriteNew(
        string path, string bootId, IEnumerable<KeyValuePair<(ulong Namespace, ulong Cookie), SocketMemory>> known, string arriving)
    {
        var log = new StateWriter(AppendLog.Create(path + ".new"));
        try
        {
            log.First(Magic + bootId + "\n");
            if (arriving.Length > 0)
            {
                log.Arriving(arriving);
            }
            // Lines without a checksum of their own come first. Then confirmed sets, so that the one "ok" speaks of them alone.
            foreach (var ((netns, cookie), memory) in known)
            {
                if (memory.Holder != SocketHolder.Agent)
                {
                    log.Note(netns, cookie, memory);
                    WriteMany(log);
                }
            }
            foreach (var ((netns, cookie), memory) in known)
            {
                if (memory is { Holder: SocketHolder.Agent, Replaces: null })
                {
                    log.Note(netns, cookie, memory);
                    WriteMany(log);
                }
            }
            log.Line("ok\n"u8);
            foreach (var ((netns, cookie), memory) in known)
            {
                if (memory.Replaces is { } replaced)
                {
                    log.Set(netns, cookie, memory.Found, replaced, memory.Set, rule: null, memory.UserTimeout);
                }
            }
            log.Write();
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

    private static void WriteMany(StateWriter log)
    {
        if (log.HasEnough)
        {
            log.Write();
        }
    }

    private static string Arriving(IEnumerable<KeepaliveSettings> settings)
    {
        static string Word(int? value) => value?.ToString(CultureInfo.InvariantCulture) ?? "-";
        return $"arriving {string.Join(' ', settings.Distinct().Select(s => $"{Word(s.Time)},{Word(s.Interval)},{Word(s.Probes)}"))}\n";
    }
}
