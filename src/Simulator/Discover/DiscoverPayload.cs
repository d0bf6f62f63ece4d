using System.Globalization;
using System.Text;

namespace Keepalive.Simulator.Discover;

/// <summary>The payload that is sent on each connection, as a command line describes it.</summary>
internal static class DiscoverPayload
{
    /// <summary>A GET request for a path over a connection that stays open.</summary>
    public static byte[] Http(string path, DiscoveryTarget host) =>
        Encoding.ASCII.GetBytes($"GET {path} HTTP/1.1\r\nHost: {(host.Port == 80 ? host.ToString()[..^3] : host)}\r\nConnection: keep-alive\r\n\r\n");

    /// <summary>Why a path cannot be in a request line; null if it can.</summary>
    public static string? ProblemOfPath(string path)
    {
        if (!path.StartsWith('/'))
        {
            return "takes a path, like /healthz";
        }
        foreach (var rune in path.EnumerateRunes())
        {
            if (rune.Value is <= ' ' or >= 0x7F)
            {
                var encoded = string.Concat(Encoding.UTF8.GetBytes(rune.ToString()).Select(static one => $"%{one:X2}"));
                return $"takes a path as a request line has it: {(rune.Value == ' ' ? "a space is" : $"U+{rune.Value:X4} is")} written {encoded}";
            }
        }
        return null;
    }

    /// <summary>Reads text with the escapes <c>\r</c>, <c>\n</c>, <c>\t</c>, <c>\\</c> and <c>\xHH</c>.</summary>
    /// <returns>The bytes; null, and the problem, if an escape is unknown.</returns>
    public static byte[]? Unescape(string text, out string problem)
    {
        problem = "";
        var bytes = new List<byte>();
        for (var i = 0; i < text.Length; i++)
        {
            var next = text.IndexOf('\\', i);
            bytes.AddRange(Encoding.UTF8.GetBytes(next < 0 ? text[i..] : text[i..next]));
            if (next < 0)
            {
                break;
            }
            var escape = next + 1 < text.Length ? text[next + 1] : '\0';
            i = next + 1;
            if (escape == 'x' && next + 4 <= text.Length && byte.TryParse(text.AsSpan(next + 2, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value))
            {
                bytes.Add(value);
                i = next + 3;
            }
            else if (@"rnt\".IndexOf(escape, StringComparison.Ordinal) is >= 0 and var index)
            {
                bytes.Add("\r\n\t\\"u8[index]);
            }
            else
            {
                problem = $@"'{text[next..Math.Min(text.Length, next + (escape == 'x' ? 4 : 2))]}' is not known; it takes \r, \n, \t, \xHH, and \\ for a backslash";
                return null;
            }
        }
        return [.. bytes];
    }
}
