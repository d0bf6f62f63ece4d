using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Keepalive.Config;

/// <summary>One end of a connection.</summary>
/// <param name="Address">128 bits, most significant first. IPv4 is held as IPv4-mapped IPv6: 10.0.0.1 is ::ffff:10.0.0.1.</param>
/// <param name="Port">TCP port in host byte order.</param>
/// <remarks>An IPv6 socket that talks IPv4 shows mapped addresses, so one form for both makes the two kinds of socket alike.</remarks>
public readonly record struct Endpoint(UInt128 Address, ushort Port)
{
    /// <summary>The upper 96 bits of every IPv4-mapped address: ::ffff:0:0.</summary>
    internal static readonly UInt128 MappedPrefix = new(0, 0xffff_0000_0000);

    /// <summary>Whether the address is IPv4, which includes IPv4-mapped IPv6.</summary>
    public bool IsIPv4 => IsMapped(Address);

    /// <summary>The endpoint in canonical form; an IPv6 scope is dropped.</summary>
    public static Endpoint From(IPEndPoint endPoint)
    {
        ArgumentNullException.ThrowIfNull(endPoint);
        return new Endpoint(ToBits(endPoint.Address), checked((ushort)endPoint.Port));
    }

    /// <summary>The address in canonical form and the port.</summary>
    public static Endpoint From(IPAddress address, ushort port)
    {
        ArgumentNullException.ThrowIfNull(address);
        return new Endpoint(ToBits(address), port);
    }

    /// <summary>Reads <c>10.0.0.1:443</c> or <c>[2001:db8::1]:443</c>.</summary>
    /// <param name="text">
    /// The address in four decimal parts or in brackets: the platform's parser takes <c>10.1</c> and octal too, which nobody means here.
    /// The port is from 1 to 65535; 0 where there may be none, and then an IPv6 address may come without brackets.
    /// </param>
    /// <param name="portRequired">Whether there must be a port.</param>
    /// <param name="endpoint">The endpoint.</param>
    public static bool TryParse(ReadOnlySpan<char> text, bool portRequired, out Endpoint endpoint)
    {
        endpoint = default;
        if (!portRequired && IpPrefix.TryParseSingle(text, out var alone))
        {
            endpoint = new Endpoint(alone, 0);
            return true;
        }

        var colon = text.LastIndexOf(':');
        if (colon < 1 || !ushort.TryParse(text[(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out var port) || port == 0)
        {
            return false;
        }

        var host = text[..colon];
        var inBrackets = host is ['[', .., ']'];
        if (!IpPrefix.TryParseSingle(inBrackets ? host[1..^1] : host, out var address) || host.Contains(':') != inBrackets)
        {
            return false;
        }

        endpoint = new Endpoint(address, port);
        return true;
    }

    /// <summary>The endpoint as the platform has it; IPv4 as IPv4, not mapped.</summary>
    public IPEndPoint ToIPEndPoint() => new(ToIPAddress(Address), Port);

    /// <summary><c>10.0.0.1:443</c> or <c>[::1]:443</c>.</summary>
    public override string ToString() => IsIPv4 ? $"{ToIPAddress(Address)}:{Port}" : $"[{ToIPAddress(Address)}]:{Port}";

    /// <summary>Whether an address is of 127.0.0.0/8 or ::1.</summary>
    public static bool IsLoopback(UInt128 address) => IsMapped(address) ? (byte)(address >> 24) == 127 : address == 1;

    /// <summary>Whether the addresses of a connection show that it does not leave its host.</summary>
    public static bool StayOnHost(UInt128 local, UInt128 remote) => remote == local || IsLoopback(remote);

    internal static bool IsMapped(UInt128 address) => address >> 32 == MappedPrefix >> 32;

    internal static UInt128 ToBits(IPAddress address)
    {
        Span<byte> bytes = stackalloc byte[16];
        if (!address.TryWriteBytes(bytes, out var length))
        {
            throw new ArgumentException("not an IP address", nameof(address));
        }

        return address.AddressFamily == AddressFamily.InterNetwork && length == 4
            ? MappedPrefix | BinaryPrimitives.ReadUInt32BigEndian(bytes)
            : BinaryPrimitives.ReadUInt128BigEndian(bytes);
    }

    internal static IPAddress ToIPAddress(UInt128 address)
    {
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt128BigEndian(bytes, address);
        return new IPAddress(IsMapped(address) ? bytes[12..] : bytes);
    }
}
