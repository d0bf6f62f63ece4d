using System.Buffers;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Keepalive.Config;

/// <summary>A block of addresses of one family.</summary>
/// <param name="Address">The first address, host bits zero; IPv4 in mapped form as in <see cref="Endpoint"/>.</param>
/// <param name="Length">Leading bits that count, within the family: 0..32 for IPv4, 0..128 for IPv6.</param>
/// <param name="IsIPv4">The family. <c>::/0</c> does not cover IPv4, in whatever form a socket shows it.</param>
public readonly record struct IpPrefix(UInt128 Address, int Length, bool IsIPv4)
{
    private static readonly SearchValues<char> s_iPv6Characters = SearchValues.Create("0123456789abcdefABCDEF:.");

    /// <summary>The prefix that holds exactly this address; IPv4-mapped becomes IPv4.</summary>
    public static IpPrefix From(IPAddress address)
    {
        ArgumentNullException.ThrowIfNull(address);
        var bits = Endpoint.ToBits(address);
        return Endpoint.IsMapped(bits) ? new IpPrefix(bits, 32, true) : new IpPrefix(bits, 128, false);
    }

    /// <summary>Whether the address is in the block.</summary>
    /// <param name="address">In the form of <see cref="Endpoint.Address"/>.</param>
    public bool Contains(UInt128 address) =>
        IsIPv4 == Endpoint.IsMapped(address) && Mask(address, Length, IsIPv4) == Address;

    /// <summary>Reads an address or CIDR block such as <c>10.0.0.1</c>, <c>198.51.100.0/24</c> or <c>2001:db8::/32</c>.</summary>
    /// <param name="text">No brackets, no port, no scope, no leading zeros.</param>
    /// <param name="prefix">The block with host bits cleared and IPv4-mapped blocks as IPv4.</param>
    /// <param name="hostBitsCleared">Whether the text had bits set behind the prefix length.</param>
    public static bool TryParse(ReadOnlySpan<char> text, out IpPrefix prefix, out bool hostBitsCleared)
    {
        prefix = default;
        hostBitsCleared = false;
        var slash = text.IndexOf('/');
        if (!TryParseAddress(slash < 0 ? text : text[..slash], out var bits, out var writtenAsIPv6))
        {
            return false;
        }

        var isIPv4 = Endpoint.IsMapped(bits);
        var width = writtenAsIPv6 ? 128 : 32;
        var length = width;
        if (slash >= 0 && !TryParseLength(text[(slash + 1)..], width, out length))
        {
            return false;
        }

        if (isIPv4 && writtenAsIPv6)
        {
            // ::ffff:10.0.0.0/104 is 10.0.0.0/8; a shorter one reaches beyond the mapped range and stays IPv6.
            isIPv4 = length >= 96;
            length = isIPv4 ? length - 96 : length;
        }

        var masked = Mask(bits, length, isIPv4);
        hostBitsCleared = masked != bits;
        prefix = new IpPrefix(masked, length, isIPv4);
        return true;
    }

    /// <summary>Reads what <see cref="TryParse"/> reads.</summary>
    /// <exception cref="FormatException">The text is neither an address nor a CIDR block.</exception>
    public static IpPrefix Parse(string text) =>
        TryParse(text, out var prefix, out _) ? prefix : throw new FormatException($"not an IP address or CIDR block: {text}");

    /// <summary><c>10.0.0.1</c> for a single address, <c>10.0.0.0/8</c> for a block.</summary>
    public override string ToString()
    {
        var text = Endpoint.ToIPAddress(Address).ToString();
        return Length == (IsIPv4 ? 32 : 128) ? text : string.Create(CultureInfo.InvariantCulture, $"{text}/{Length}");
    }

    /// <summary><c>10.0.0.0/8:443</c>, <c>[2001:db8::/32]:443</c>, or without the port when it is 0.</summary>
    internal static string Format(IpPrefix prefix, ushort port) =>
        port == 0 ? prefix.ToString() : prefix.IsIPv4 ? $"{prefix}:{port}" : $"[{prefix}]:{port}";

    /// <summary>Reads one address, as strictly as <see cref="TryParse"/>.</summary>
    internal static bool TryParseSingle(ReadOnlySpan<char> text, out UInt128 address)
    {
        var single = TryParse(text, out var prefix, out _) && !text.Contains('/');
        address = prefix.Address;
        return single;
    }

    internal static UInt128 Mask(UInt128 address, int length, bool isIPv4)
    {
        var kept = isIPv4 ? length + 96 : length;
        return kept == 0 ? UInt128.Zero : address & (UInt128.MaxValue << (128 - kept));
    }

    private static bool TryParseLength(ReadOnlySpan<char> text, int width, out int length) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out length)
        && length <= width && (text.Length == 1 || text[0] != '0');

    private static bool TryParseAddress(ReadOnlySpan<char> text, out UInt128 bits, out bool isIPv6)
    {
        bits = default;
        isIPv6 = text.Contains(':');
        if (!isIPv6)
        {
            return TryParseIPv4(text, out bits);
        }

        // The platform's parser also takes scopes and brackets; a policy has no use for either.
        if (text.ContainsAnyExcept(s_iPv6Characters)
            || !IPAddress.TryParse(text, out var address) || address.AddressFamily != AddressFamily.InterNetworkV6)
        {
            return false;
        }

        bits = Endpoint.ToBits(address);
        return true;
    }

    /// <summary>Four decimal parts. The platform's parser takes <c>1</c>, <c>10.1</c> and octal too, which nobody means here.</summary>
    private static bool TryParseIPv4(ReadOnlySpan<char> text, out UInt128 bits)
    {
        bits = default;
        uint value = 0;
        var parts = 0;
        foreach (var range in text.Split('.'))
        {
            var part = text[range];
            if (part.Length is 0 or > 3 || (part.Length > 1 && part[0] == '0') || ++parts > 4
                || !byte.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out var octet))
            {
                return false;
            }

            value = (value << 8) | octet;
        }

        bits = Endpoint.MappedPrefix | value;
        return parts == 4;
    }
}
