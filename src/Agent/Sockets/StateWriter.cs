using System.Buffers.Text;
using System.Text;
using System.Text.Unicode;
using Keepalive.Config.Compilation;
using Keepalive.Linux;
using Keepalive.Linux.Files;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Sockets;

/// <summary>Collects the lines of a state file and appends them, as many as there are, in one write.</summary>
/// <param name="log">The file.</param>
/// <param name="before">The checksum of its lines behind the last "set".</param>
internal sealed class StateWriter(AppendLog log, uint before = 0) : IDisposable
{
    // Kubernetes names are at most 253 characters each: a policy and a destination fit.
    private const int MaxSet = 1280;

    /// <summary>Room for the word and the two numbers that a "set" begins with.</summary>
    private const int MaxHead = 4 + 20 + 1 + 20;

    /// <summary>With so many bytes collected, a write costs little for each line.</summary>
    private const int Enough = 64 * 1024;

    private readonly byte[] _tail = new byte[MaxSet];
    private byte[] _lines = new byte[4096];
    private int _length;
    private uint _before = before;
    private uint _writtenBefore = before;
    private int _tailLength;
    private SetTail _tailOf;

    /// <summary>The length of the file with the lines that are not written yet.</summary>
    public long Length => log.Length + _length;

    /// <summary>Whether enough lines are collected to be written.</summary>
    public bool HasEnough => _length >= Enough;

    /// <summary>Adds the first line, which no checksum covers: earlier versions take it as it is or not at all.</summary>
    public void First(string line)
    {
        var bytes = Encoding.UTF8.GetBytes(line);
        bytes.CopyTo(Room(bytes.Length));
        _length += bytes.Length;
    }

    /// <summary>Adds a line that is no "set".</summary>
    public void Line(ReadOnlySpan<byte> line)
    {
        line.CopyTo(Room(line.Length));
        _length += line.Length;
        _before = StateChecksum.Add(_before, line);
    }

    public void Arriving(string line) => Line(Encoding.UTF8.GetBytes(line));

    /// <summary>Adds what is remembered of a socket, null for nothing any more.</summary>
    public void Note(ulong netns, ulong cookie, SocketMemory? memory)
    {
        if (memory is { Holder: SocketHolder.Agent } agent)
        {
            Set(netns, cookie, agent.Found, agent.Set, agent.Set, rule: null, agent.UserTimeout);
            return;
        }
        Span<byte> line = stackalloc byte[160];
        var n = 0;
        _ = memory switch
        {
            { Holder: SocketHolder.Kept } kept => Utf8.TryWrite(line, $"kept {netns} {cookie} {new StateValues(kept.Found)}\n", out n),
            { Holder: SocketHolder.Application } => Utf8.TryWrite(line, $"application {netns} {cookie}\n", out n),
            _ => Utf8.TryWrite(line, $"forget {netns} {cookie}\n", out n),
        };
        Line(line[..n]);
    }

    public void Set(
        ulong netns, ulong cookie, KeepaliveOptions found, KeepaliveOptions replaced, KeepaliveOptions set, CompiledRule? rule, UserTimeoutMemory? timeout)
    {
        // Sockets that are set together have mostly the same values and the same rule.
        var tail = new SetTail(found, replaced, set, rule, timeout);
        if (_tailLength == 0 || !tail.Equals(_tailOf))
        {
            (_tailOf, _tailLength) = (tail, tail.Write(_tail));
        }
        var line = Room(MaxHead + _tailLength + StateChecksum.Length + 1);
        "set "u8.CopyTo(line);
        var n = 4;
        _ = Utf8Formatter.TryFormat(netns, line[n..], out var digits);
        n += digits;
        line[n++] = (byte)' ';
        _ = Utf8Formatter.TryFormat(cookie, line[n..], out digits);
        n += digits;
        _tail.AsSpan(0, _tailLength).CopyTo(line[n..]);
        n += _tailLength;
        new StateChecksum(StateChecksum.Add(0, line[..n]), _before).Write(line[n..]);
        n += StateChecksum.Length;
        line[n++] = (byte)'\n';
        _length += n;
        _before = 0;
    }

    /// <summary>Writes the lines collected so far.</summary>
    /// <exception cref="LinuxException">The file system is full; none was written, and they are dropped.</exception>
    public void Write()
    {
        if (_length == 0)
        {
            return;
        }
        try
        {
            log.Append(_lines.AsSpan(0, _length));
            _writtenBefore = _before;
        }
        catch (LinuxException)
        {
            _before = _writtenBefore;
            throw;
        }
        finally
        {
            _length = 0;
        }
    }

    public void Dispose() => log.Dispose();

    private Span<byte> Room(int count)
    {
        if (_lines.Length - _length < count)
        {
            Array.Resize(ref _lines, Math.Max(2 * _lines.Length, _length + count));
        }
        return _lines.AsSpan(_length);
    }

    /// <summary>A "set" line behind its socket.</summary>
    private readonly record struct SetTail(KeepaliveOptions Found, KeepaliveOptions Replaced, KeepaliveOptions Set, CompiledRule? Rule, UserTimeoutMemory? Timeout)
    {
        /// <summary>By reference of the rule: an equal one may have another name.</summary>
        public bool Equals(SetTail other) =>
            Set == other.Set && Found == other.Found && Replaced == other.Replaced && ReferenceEquals(Rule, other.Rule) && Timeout == other.Timeout;

        public override int GetHashCode() => HashCode.Combine(Found, Replaced, Set);

        public int Write(Span<byte> into)
        {
            var room = into[..^(MaxHead + UserTimeoutMemory.MaxText + StateChecksum.Length + 1)];
            var (found, replaced, set) = (new StateValues(Found), new StateValues(Replaced), new StateValues(Set));
            if (!Utf8.TryWrite(room, $" {found} {replaced} {set} {Rule?.Policy ?? "-"} {Rule?.Destination ?? "-"}", out var n))
            {
                Utf8.TryWrite(room, $" {found} {replaced} {set} - -", out n);
            }
            if (Timeout is { } known)
            {
                var by = known.IsApplications ? " " + UserTimeoutMemory.ApplicationsWord : "";
                Utf8.TryWrite(into[n..], $" {UserTimeoutMemory.Word}{known.Found},{known.Replaced},{known.Set}{by}", out var more);
                n += more;
            }
            return n;
        }
    }
}
