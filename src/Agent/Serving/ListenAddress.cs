using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Keepalive.Agent.Serving;

/// <summary>An address to listen on as it is written: <c>127.0.0.1:9464</c>, <c>[::1]:9464</c>, or <c>:9464</c> for every address.</summary>
/// <remarks>
/// <code>
///   :9464           every address, IPv6 and IPv4; IPv4 alone where IPv6 is off
///   [::]:9464       every address, IPv6 and IPv4, whatever net.ipv6.bindv6only says
///   0.0.0.0:9464    every IPv4 address
///   [::1]:9464      this address alone
/// </code>
/// </remarks>
internal static class ListenAddress
{
    private const string DisableIPv6 = "/proc/sys/net/ipv6/conf/all/disable_ipv6";

    /// <summary>A line for each IPv6 address of the network namespace.</summary>
    private const string IPv6Addresses = "/proc/net/if_inet6";

    /// <summary>Reads one; null where it is none.</summary>
    public static IPEndPoint? Parse(string text)
    {
        if (text is [':', .. var number])
        {
            return ushort.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var port) ? Every(port) : null;
        }
        if (!text.Contains(':', StringComparison.Ordinal) || !HasPort(text) || !IPEndPoint.TryParse(text, out var address))
        {
            return null;
        }
        return address.Address.IsIPv4MappedToIPv6 ? new IPEndPoint(address.Address.MapToIPv4(), address.Port) : address;
    }

    /// <summary>Every address of both families; of IPv4 where IPv6 is off.</summary>
    public static IPEndPoint Every(int port) => new(HasIPv6() ? IPAddress.IPv6Any : IPAddress.Any, port);

    /// <summary>For the log: a stranger does not see in <c>[::]</c> that it stands for IPv4, too.</summary>
    public static string Describe(IPEndPoint? address) => address switch
    {
        null => "no address",
        { Address: var any } when any.Equals(IPAddress.IPv6Any) => $"{address} (IPv6 and IPv4)",
        _ => address.ToString(),
    };

    /// <summary>False with <c>ipv6.disable=1</c>, which leaves no such sockets, and with <c>net.ipv6.conf.all.disable_ipv6</c> unless an interface has an address all the same.</summary>
    private static bool HasIPv6() => Socket.OSSupportsIPv6 && (Text(DisableIPv6) != "1" || Text(IPv6Addresses).Length > 0);

    private static string Text(string path)
    {
        try
        {
            return File.ReadAllText(path).Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }

    /// <summary>An IPv6 address without brackets has colons and no port.</summary>
    private static bool HasPort(string text) => text[(text.LastIndexOf(':') + 1)..].All(char.IsAsciiDigit) && (text[0] == '[' || text.Count(c => c == ':') == 1);
}
