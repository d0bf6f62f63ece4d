using System.Text;
using System.Text.Unicode;
using Keepalive.Config.Compilation;
using Keepalive.Linux;
using Keepalive.Linux.Files;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Sockets;

/// <summary>Appends the lines of a state file.</summary>
/// <param name="log">The file.</param>
/// <param name="before">The checksum of its lines behind the last "set".</param>
internal sealed class StateWriter(AppendLog log, uint before = 0) : IDisposable
{
    private uint _before = before;

    public long Length => log.Length;

    /// <summary>Appends the first line, which no checksum covers: earlier versions take it as it is or not at all.</summary>
    public void First(string line) => log.Append(Encoding.UTF8.GetBytes(line));

    /// <summary>Appends a line that is no "set".</summary>
    /// <exception cref="LinuxException">The file system is full; nothing was appended.</exception>
    public void Line(ReadOnlySpan<byte> line)
    {
        log.Append(line);
        _before = StateChecksum.Add(_before, line);
    }

    public void Arriving(string line) => Line(Encoding.UTF8.GetBytes(line));

    /// <summary>Appends what is remembered of a socket, null for nothing any more.</summary>
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
        // Kubernetes names are at most 253 characters each: a policy and a destination fit.
        Span<byte> line = stackalloc byte[1280];
        var room = line[..^(UserTimeoutMemory.MaxText + StateChecksum.Length + 1)];
        if (!Utf8.TryWrite(
            room,
            $"set {netns} {cookie} {new StateValues(found)} {new StateValues(replaced)} {new StateValues(set)} {rule?.Policy ?? "-"} {rule?.Destination ?? "-"}",
            out var n))
        {
            Utf8.TryWrite(room, $"set {netns} {cookie} {new StateValues(found)} {new StateValues(replaced)} {new StateValues(set)} - -", out n);
        }
        if (timeout is { } known)
        {
            var by = known.IsApplications ? " " + UserTimeoutMemory.ApplicationsWord : "";
            Utf8.TryWrite(line[n..], $" {UserTimeoutMemory.Word}{known.Found},{known.Replaced},{known.Set}{by}", out var more);
            n += more;
        }
        new StateChecksum(StateChecksum.Add(0, line[..n]), _before).Write(line[n..]);
        n += StateChecksum.Length;
        line[n++] = (byte)'\n';
        log.Append(line[..n]);
        _before = 0;
    }

    public void Dispose() => log.Dispose();
}
