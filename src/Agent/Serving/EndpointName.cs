using System.Globalization;
using System.Net;
using Keepalive.Config;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Serving;

/// <summary>An endpoint as somebody who asks for it writes it: <c>10.0.0.1:443</c>, <c>[2001:db8::1]:443</c>.</summary>
internal static class EndpointName
{
    /// <summary>Reads it; IPv4 in four numbers, IPv6 in brackets in any form, with a port from 1 to 65535.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out SocketEndpoint endpoint)
    {
        endpoint = default;
        var colon = text.LastIndexOf(':');
        if (colon < 1 || !ushort.TryParse(text[(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out var port) || port == 0)
        {
            return false;
        }
        var host = text[..colon];
        if (host is ['[', .. var inner, ']'])
        {
            if (!inner.Contains(':') || inner.Contains('%') || !IPAddress.TryParse(inner, out var v6))
            {
                return false;
            }
            endpoint = Of(v6, port);
            return true;
        }
        // The parser also takes 10.1 and 0x0a000001, which nobody means.
        if (!IPAddress.TryParse(host, out var v4) || v4.AddressFamily != System.Net.Sockets.AddressFamily.InterNetwork || !host.SequenceEqual(v4.ToString()))
        {
            return false;
        }
        endpoint = Of(v4, port);
        return true;
    }

    private static SocketEndpoint Of(IPAddress address, ushort port)
    {
        var canonical = Endpoint.From(address, port);
        return new SocketEndpoint(canonical.Address, canonical.Port);
    }
}
