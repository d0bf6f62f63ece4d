using Keepalive.Config.Compilation;

namespace Keepalive.Agent.Capture;

/// <summary>The filter of the kernel, in the language of pcap-filter(7). It accepts the segments that show keepalive, and no
/// payload.</summary>
/// <remarks>
/// In that language, <c>tcp[…]</c> silently means IPv4 only, so the IPv6 part uses offsets. A packet with an extension header always
/// passes, because only user space can find its TCP header. Segments with more than one byte of payload do not pass. Their effect on
/// keepalive is also visible in every pure acknowledgement.
/// </remarks>
internal static class CaptureFilter
{
    /// <summary>The maximum number of prefixes. More would cost more for every packet of the node than they save.</summary>
    private const int MaxTerms = 48;

    // Accepts a payload of at most one byte, by the length in the IP header, or SYN, FIN or RST. A length of 0 (filled in by the network
    // card) wraps around to a large number.
    private const string Small4 = "(ip[2:2] - ((ip[0] & 0xf) << 2) - ((tcp[12] & 0xf0) >> 2) <= 1 or tcp[13] & 7 != 0)";
    private const string Small6 = "(ip6[4:2] - ((ip6[52] & 0xf0) >> 2) <= 1 or ip6[53] & 7 != 0)";
    private const string Extended6 = "(ip6[6] = 0 or ip6[6] = 43 or ip6[6] = 44 or ip6[6] = 51 or ip6[6] = 60 or ip6[6] = 135 or ip6[6] = 139 or ip6[6] = 140)";

    // Around a small segment, with the headers of IPv6, VXLAN and VLANs, there are at most 192 bytes; user space looks inside. In UDP, by the shape of VXLAN,
    // Geneve, WireGuard and a packet alone at whichever port, and by the ports of other tunnels.
    private const string TunnelPorts =
        "port 4500 or port 6080 or port 6635 or port 4754 or port 1194 or port 1701 or port 2152 or port 4341 or port 5247";
    private const string Udp4 = $"(udp and ({TunnelPorts} or udp[8] & 0x7b = 8 or udp[10:2] = 0x6558 or udp[10:2] = 0x0800 or udp[10:2] = 0x86dd"
        + " or (udp[8] > 0 and udp[8] < 5 and udp[9] = 0 and udp[10:2] = 0)"
        + " or (udp[8] & 0xf0 = 0x40 and udp[10:2] = udp[4:2] - 8) or (udp[8] & 0xf0 = 0x60 and udp[12:2] = udp[4:2] - 48)))";
    private const string Udp6 = $"(ip6[6] = 17 and ({TunnelPorts} or ip6[48] & 0x7b = 8 or ip6[50:2] = 0x6558 or ip6[50:2] = 0x0800 or ip6[50:2] = 0x86dd"
        + " or (ip6[48] > 0 and ip6[48] < 5 and ip6[49] = 0 and ip6[50:2] = 0)"
        + " or (ip6[48] & 0xf0 = 0x40 and ip6[50:2] = ip6[44:2] - 8) or (ip6[48] & 0xf0 = 0x60 and ip6[52:2] = ip6[44:2] - 48)))";
    private const string OtherTypes = "ether proto 0x8847 or ether proto 0x8848 or ether proto 0x8864 or ether proto 0x88e5 or ether proto 0x8100 or ether proto 0x88a8";
    private const string InTunnels = "(less 192 and (ip[9] = 4 or ip[9] = 41 or ip[9] = 47 or ip[9] = 50 or ip[9] = 51"
        + $" or ip6[6] = 4 or ip6[6] = 41 or ip6[6] = 47 or ip6[6] = 50 or {Udp4} or {Udp6} or {OtherTypes}))";

    /// <summary>The filter for all connections, also in tunnels.</summary>
    public static string Everything { get; } = $"{Combine("", "")} or {InTunnels}";

    /// <summary>Returns the filter for the connections that a rule may select.</summary>
    public static string For(CompiledPolicy policy)
    {
        var four = Terms(policy.AllRules.Where(rule => rule.Prefix.IsIPv4), ipv6: false);
        var six = Terms(policy.AllRules.Where(rule => !rule.Prefix.IsIPv4), ipv6: true);
        return four is null && six is null ? "less 1" : Combine(four, six);   // matches nothing: without a rule, no packet is needed
    }

    private static string Combine(string? four, string? six)
    {
        var parts = new List<string>();
        if (four is not null)
        {
            parts.Add($"(ip and tcp and {Small4}{And(four)})");
        }
        if (six is not null)
        {
            parts.Add($"(ip6 and (ip6[6] = 6 and {Small6} or {Extended6}){And(six)})");
        }
        return string.Join(" or ", parts);
    }

    private static string And(string terms) => terms.Length == 0 ? "" : $" and ({terms})";

    /// <summary>Returns the prefixes and ports of one address family as alternatives. The result is empty if one of them matches everything
    /// or they are too many, and null if there are none.</summary>
    private static string? Terms(IEnumerable<CompiledRule> rules, bool ipv6)
    {
        var terms = rules.Select(rule => Term(rule, ipv6)).Distinct().Take(MaxTerms + 1).ToList();
        return terms.Count == 0 ? null : terms.Count > MaxTerms || terms.Contains("") ? "" : string.Join(" or ", terms);
    }

    private static string Term(CompiledRule rule, bool ipv6)
    {
        var net = rule.Prefix.Length == 0 ? "" : $"net {rule.Prefix}";
        // By offset, after the fixed header. With an extension header before the TCP header, user space finds the ports.
        var port = rule.Port == 0 ? ""
            : ipv6 ? $"(ip6[6] != 6 or ip6[40:2] = {rule.Port} or ip6[42:2] = {rule.Port})"
            : $"port {rule.Port}";
        return net.Length == 0 || port.Length == 0 ? net + port : $"({net} and {port})";
    }
}
