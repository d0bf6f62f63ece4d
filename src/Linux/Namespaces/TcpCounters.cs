using System.Buffers.Text;
using Keepalive.Linux.Files;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Namespaces;

/// <summary>Counters that change when sockets are opened; cheaper than a dump of the sockets.</summary>
/// <param name="Opens">tcpActiveOpens + tcpPassiveOpens: connections that have come into being.</param>
/// <param name="Established">tcpCurrEstab: those in ESTABLISHED or CLOSE-WAIT.</param>
public readonly record struct TcpActivity(ulong Opens, ulong Established);

/// <summary>The TCP group of /proc/net/snmp of one namespace (RFC 4022), read again and again through one descriptor.</summary>
/// <remarks>The descriptor keeps the namespace alive. A read costs about 15 µs whatever the number of sockets.</remarks>
public sealed class TcpCounters : IDisposable
{
    private readonly FileDescriptor _file;
    private readonly byte[] _buffer = new byte[4096];

    private TcpCounters(FileDescriptor file) => _file = file;

    /// <summary>Opens the counters of the calling thread's namespace.</summary>
    /// <exception cref="LinuxException">/proc is not mounted, or no descriptor is left.</exception>
    public static TcpCounters Open()
    {
        const string path = "/proc/thread-self/net/snmp";
        return new TcpCounters(FileDescriptor.TryOpen(path, Unistd.O_RDONLY, out var errno) ?? throw new LinuxException($"open {path}", errno));
    }

    /// <summary>Reads what moves whenever a connection comes into being, and whenever an established one ends.</summary>
    public TcpActivity Read()
    {
        var n = _file.Read(_buffer, 0);
        var text = (ReadOnlySpan<byte>)_buffer.AsSpan(0, Math.Max(0, n));
        var names = Line(ref text);
        var values = Line(ref text);
        ulong opens = 0, established = 0;
        while (Word(ref names, out var name) && Word(ref values, out var value))
        {
            if (name.SequenceEqual("ActiveOpens"u8) || name.SequenceEqual("PassiveOpens"u8))
            {
                opens += Utf8Parser.TryParse(value, out ulong count, out _) ? count : 0;
            }
            else if (name.SequenceEqual("CurrEstab"u8))
            {
                _ = Utf8Parser.TryParse(value, out established, out _);
            }
        }
        return new TcpActivity(opens, established);
    }

    public void Dispose() => _file.Dispose();

    private static ReadOnlySpan<byte> Line(ref ReadOnlySpan<byte> text)
    {
        var at = text.IndexOf("Tcp: "u8);
        if (at < 0)
        {
            return default;
        }
        text = text[at..];
        var end = text.IndexOf((byte)'\n');
        var line = end < 0 ? text : text[..end];
        text = text[line.Length..];
        return line;
    }

    private static bool Word(ref ReadOnlySpan<byte> line, out ReadOnlySpan<byte> word)
    {
        var space = line.IndexOf((byte)' ');
        word = space < 0 ? line : line[..space];
        line = space < 0 ? default : line[(space + 1)..];
        return !word.IsEmpty;
    }
}
