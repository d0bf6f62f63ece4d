using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Keepalive.Simulator.Discover;

/// <summary>A far end as it is given: HOST:PORT.</summary>
/// <param name="Host">A name or an address.</param>
/// <param name="Port">1..65535.</param>
internal sealed record DiscoveryTarget(string Host, int Port)
{
    /// <summary>Reads <c>example.org:443</c>, <c>192.0.2.1:443</c> or <c>[2001:db8::1]:443</c>.</summary>
    public static DiscoveryTarget? TryParse(string text)
    {
        var colon = text.LastIndexOf(':');
        if (colon <= 0 || !int.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port) || port is < 1 or > ushort.MaxValue)
        {
            return null;
        }
        var host = text[..colon];
        if (host is ['[', .., ']'])
        {
            return IPAddress.TryParse(host[1..^1], out var address) && address.AddressFamily == AddressFamily.InterNetworkV6 ? new DiscoveryTarget(host[1..^1], port) : null;
        }
        return host.Contains(':', StringComparison.Ordinal) || Uri.CheckHostName(host) == UriHostNameType.Unknown ? null : new DiscoveryTarget(host, port);
    }

    /// <summary>Returns all addresses of the name.</summary>
    /// <exception cref="SocketException">The name has no address.</exception>
    /// <exception cref="OperationCanceledException">Nobody waits for them any more. The resolver of the system cannot be interrupted.</exception>
    public IPEndPoint[] Resolve(CancellationToken stop) => IPAddress.TryParse(Host, out var only)
        ? [new IPEndPoint(only, Port)]
        : [.. Dns.GetHostAddressesAsync(Host, CancellationToken.None).WaitAsync(stop).GetAwaiter().GetResult().Distinct().Select(address => new IPEndPoint(address, Port))];

    /// <summary>Whether this host has a route to an address. Nothing is sent.</summary>
    public static bool HasRoute(IPEndPoint remote)
    {
        ArgumentNullException.ThrowIfNull(remote);
        try
        {
            using var socket = new Socket(remote.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
            socket.Connect(remote);
            return true;
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.NetworkUnreachable or SocketError.HostUnreachable or SocketError.AddressFamilyNotSupported or SocketError.AddressNotAvailable)
        {
            return false;
        }
    }

    public override string ToString() => Host.Contains(':', StringComparison.Ordinal) ? $"[{Host}]:{Port}" : $"{Host}:{Port}";
}
