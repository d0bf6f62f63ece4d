using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Keepalive.Simulator.Demo;

/// <summary>An HTTP/1.1 message with a Content-Length, or none and no body: all that the demo's own programs send.</summary>
internal static class HttpMessage
{
    private const int MaxLength = 16 * 1024;

    /// <summary>Reads one.</summary>
    /// <returns>All of it; null when the connection ended before it began.</returns>
    /// <exception cref="IOException">The connection ended in the middle, or what came is no such message.</exception>
    public static async Task<string?> ReadAsync(Socket connection, CancellationToken cancellation)
    {
        var buffer = new byte[MaxLength];
        for (var length = 0; ;)
        {
            var n = await connection.ReceiveAsync(buffer.AsMemory(length), cancellation).ConfigureAwait(false);
            if (n == 0)
            {
                return length == 0 ? null : throw new IOException("the connection ended in the middle of a message");
            }
            length += n;
            var text = Encoding.Latin1.GetString(buffer, 0, length);
            var head = text.IndexOf("\r\n\r\n", StringComparison.Ordinal);
            if (head >= 0 && length >= head + 4 + BodyLength(text[..head]))
            {
                return text;
            }
            if (length == MaxLength)
            {
                throw new IOException("the message is too long");
            }
        }
    }

    public static async Task WriteAsync(Socket connection, string message, CancellationToken cancellation)
    {
        for (ReadOnlyMemory<byte> rest = Encoding.Latin1.GetBytes(message); rest.Length > 0;)
        {
            rest = rest[await connection.SendAsync(rest, cancellation).ConfigureAwait(false)..];
        }
    }

    /// <summary>A response.</summary>
    /// <param name="status">Code and reason.</param>
    /// <param name="server">The name of the server.</param>
    /// <param name="body">Text, ASCII.</param>
    public static string Response(string status, string server, string body) =>
        string.Create(CultureInfo.InvariantCulture, $"HTTP/1.1 {status}\r\nserver: {server}\r\ncontent-length: {body.Length}\r\n\r\n{body}");

    /// <summary>The words of its first line.</summary>
    public static string[] FirstLine(string message) => message[..message.IndexOf("\r\n", StringComparison.Ordinal)].Split(' ', 3);

    private static int BodyLength(string head)
    {
        const string name = "content-length:";
        var line = head.Split("\r\n").FirstOrDefault(line => line.StartsWith(name, StringComparison.OrdinalIgnoreCase));
        return line is null ? 0
            : int.TryParse(line.AsSpan(name.Length), CultureInfo.InvariantCulture, out var length) && length is >= 0 and < MaxLength ? length
            : throw new IOException("the message has no sensible length");
    }
}
