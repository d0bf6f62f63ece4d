using System.Globalization;

namespace Keepalive.Config.Resources;

/// <summary>The value of the address annotation: <c>203.0.113.10:15443, 198.51.100.0/24, [2001:db8::1]:443</c>.</summary>
internal static class AddressList
{
    /// <summary>The entries, trimmed; blank ones are left out.</summary>
    public static IReadOnlyList<string> Split(string list) =>
        list.Split([',', ' ', '\n', '\t', '\r'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    /// <summary>Reads one entry; without a port, <paramref name="port"/> is 0, which is any.</summary>
    public static bool TryParseEntry(string entry, out IpPrefix prefix, out ushort port, out bool hostBitsCleared)
    {
        port = 0;
        if (IpPrefix.TryParse(entry, out prefix, out hostBitsCleared))
        {
            return true;
        }

        var colon = entry.LastIndexOf(':');
        var address = colon < 0 ? entry : entry[..colon];
        if (address is ['[', .., ']'])
        {
            address = address[1..^1];
        }
        else if (entry is ['[', .., ']'])
        {
            return IpPrefix.TryParse(entry.AsSpan(1, entry.Length - 2), out prefix, out hostBitsCleared);
        }
        else if (address.Contains(':', StringComparison.Ordinal))
        {
            return false;
        }

        return colon >= 0 && IpPrefix.TryParse(address, out prefix, out hostBitsCleared)
            && ushort.TryParse(entry.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out port) && port != 0;
    }
}
