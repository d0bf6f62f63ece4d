using System.Buffers.Text;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Sockets;

/// <summary>A socket's values as the state file has them: <c>on,7200,75,9</c>.</summary>
internal readonly struct StateValues(KeepaliveOptions options) : IUtf8SpanFormattable
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
