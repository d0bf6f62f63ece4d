using System.Buffers.Binary;
using System.Net;
using Keepalive.Linux.Packets;
using Keepalive.Testbed;

namespace Keepalive.Probes.Tests.Capture;

/// <summary>Frames around a packet, header by header, as tunnels write them.</summary>
internal static class Tunnels
{
    /// <summary>Puts a packet into a frame.</summary>
    /// <param name="packet">From its IP header on.</param>
    /// <param name="forth">Whether it goes from the client to the server.</param>
    public delegate byte[] Wrap(byte[] packet, bool forth);

    private const string Outer = """
        "source":"192.0.2.1","destination":"192.0.2.2"
        """;

    private const string Outer6 = """
        "source":"2001:db8::1","destination":"2001:db8::2"
        """;

    /// <summary>A tunnel.</summary>
    /// <param name="Wrap">Puts a packet into it.</param>
    /// <param name="Json">The layers of the way forth, as <c>probes -o json</c> has them.</param>
    public sealed record Tunnel(Wrap Wrap, string Json)
    {
        /// <summary>Options of tshark, for what it does not find by itself; null where it cannot.</summary>
        public string[]? Tshark { get; init; } = [];

        /// <summary>Whether the connection inside is IPv6.</summary>
        public bool IsIPv6 { get; init; }
    }

    public static IReadOnlyDictionary<string, Tunnel> All { get; } = new Dictionary<string, Tunnel>
    {
        ["vlan"] = new((p, f) => Ethernet(f, 0x8100, Tag(100, Type(p), p)), """[{"type":"vlan","id":100}]"""),
        ["qinq"] = new((p, f) => Ethernet(f, 0x88A8, Tag(300, 0x8100, Tag(20, Type(p), p))), """[{"type":"vlan","id":300},{"type":"vlan","id":20}]"""),
        ["vxlan"] = new((p, f) => Ip4(f, 17, Udp(4789, Vxlan(42, Ethernet(f, Type(p), p)))), $$"""[{"type":"vxlan","id":42,{{Outer}}}]"""),
        ["vxlan, IPv6 in IPv6"] = new((p, f) => Ip6(f, 17, Udp(8472, Vxlan(42, Ethernet(f, Type(p), p)))), $$"""[{"type":"vxlan","id":42,{{Outer6}}}]""")
        {
            IsIPv6 = true,
            Tshark = ["-d", "udp.port==8472,vxlan"],
        },
        ["vxlan at a port of its own"] = new((p, f) => Ip4(f, 17, Udp(5555, Vxlan(42, Ethernet(f, Type(p), p)))), $$"""[{"type":"vxlan","id":42,{{Outer}}}]""")
        {
            Tshark = ["-d", "udp.port==5555,vxlan"],
        },
        ["vxlan with a group, at a port of its own"] = new(
            (p, f) => Ip4(f, 17, Udp(5555, [0x88, 0, 1, 7, .. Vxlan(42, Ethernet(f, Type(p), p))[4..]])), $$"""[{"type":"vxlan","id":42,{{Outer}}}]""")
        {
            Tshark = ["-d", "udp.port==5555,vxlan"],
        },
        ["vxlan-gpe"] = new((p, f) => Ip4(f, 17, Udp(4790, [0x0C, 0, 0, 1, 0, 0, 42, 0, .. p])), $$"""[{"type":"vxlan","id":42,{{Outer}}}]"""),
        ["vlans around and in vxlan"] = new(
            (p, f) => Ethernet(f, 0x8100, Tag(7, 0x0800, Ip4(f, 17, Udp(4789, Vxlan(42, Ethernet(f, 0x8100, Tag(9, Type(p), p)))))[14..])),
            $$"""[{"type":"vlan","id":7},{"type":"vxlan","id":42,{{Outer}}},{"type":"vlan","id":9}]"""),
        ["geneve"] = new((p, f) => Ip4(f, 17, Udp(6081, Geneve(0xABCDEF, 0x6558, Ethernet(f, Type(p), p)))), $$"""[{"type":"geneve","id":11259375,{{Outer}}}]"""),
        ["geneve with options, around packets"] = new(
            (p, f) => Ip4(f, 17, Udp(6081, Geneve(1, 0x0800, p, [1, 8, 1, 2, 1, 2, 3, 4, 5, 6, 7, 8]))), $$"""[{"type":"geneve","id":1,{{Outer}}}]"""),
        ["geneve at a port of its own"] = new((p, f) => Ip4(f, 17, Udp(7777, Geneve(5, 0x6558, Ethernet(f, Type(p), p)))), $$"""[{"type":"geneve","id":5,{{Outer}}}]""")
        {
            Tshark = ["-d", "udp.port==7777,geneve"],
        },
        ["gre"] = new((p, f) => Ip4(f, 47, [0, 0, 8, 0, .. p]), $$"""[{"type":"gre",{{Outer}}}]"""),
        ["gre with checksum, key and sequence"] = new(
            (p, f) => Ip4(f, 47, [0xB0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 77, 0, 0, 0, 1, .. p]), $$"""[{"type":"gre","id":77,{{Outer}}}]"""),
        ["gre in IPv6"] = new((p, f) => Ip6(f, 47, [0, 0, 0x86, 0xDD, .. p]), $$"""[{"type":"gre",{{Outer6}}}]""") { IsIPv6 = true },
        ["gre as a bridge"] = new((p, f) => Ip4(f, 47, [0x20, 0, 0x65, 0x58, 0, 0, 0, 9, .. Ethernet(f, Type(p), p)]), $$"""[{"type":"gre","id":9,{{Outer}}}]"""),
        // A switch sends the copies of both directions to the same collector.
        ["erspan I"] = new((p, f) => Ip4(true, 47, [0, 0, 0x88, 0xBE, .. Ethernet(f, Type(p), p)]), $$"""[{"type":"erspan",{{Outer}}}]"""),
        ["erspan II"] = new(
            (p, f) => Ip4(true, 47, [0x10, 0, 0x88, 0xBE, 0, 0, 0, 1, 0x10, 7, 0, 3, 0, 0, 0, 0, .. Ethernet(f, Type(p), p)]),
            $$"""[{"type":"erspan","id":3,{{Outer}}}]"""),
        ["erspan III"] = new(
            (p, f) => Ip4(true, 47, [0x10, 0, 0x22, 0xEB, 0, 0, 0, 1, 0x20, 7, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, .. Ethernet(f, Type(p), p)]),
            $$"""[{"type":"erspan","id":3,{{Outer}}}]"""),
        ["ipip"] = new((p, f) => Ip4(f, 4, p), $$"""[{"type":"ipip",{{Outer}}}]"""),
        ["6in4"] = new((p, f) => Ip4(f, 41, p), $$"""[{"type":"6in4",{{Outer}}}]""") { IsIPv6 = true },
        ["4in6"] = new((p, f) => Ip6(f, 4, p), $$"""[{"type":"4in6",{{Outer6}}}]"""),
        ["6in6"] = new((p, f) => Ip6(f, 41, p), $$"""[{"type":"6in6",{{Outer6}}}]""") { IsIPv6 = true },
        ["foo over UDP"] = new((p, f) => Ip4(f, 17, Udp(5555, p)), $$"""[{"type":"fou",{{Outer}}}]""") { Tshark = ["-d", "udp.port==5555,ip"] },
        ["foo over UDP at the port of NAT traversal"] = new((p, f) => Ip4(f, 17, Udp(4500, p)), $$"""[{"type":"fou",{{Outer}}}]""")
        {
            Tshark = ["-d", "udp.port==4500,ip"],
        },
        ["foo over UDP, gre with a key"] = new(
            (p, f) => Ip4(f, 17, Udp(5555, [0x20, 0, 8, 0, 0, 0, 0, 77, .. p])), $$"""[{"type":"fou",{{Outer}}},{"type":"gre","id":77,{{Outer}}}]""")
        {
            Tshark = ["-d", "udp.port==5555,gre"],
        },
        ["foo over UDP, gre as a bridge"] = new(
            (p, f) => Ip4(f, 17, Udp(5555, [0, 0, 0x65, 0x58, .. Ethernet(f, Type(p), p)])), $$"""[{"type":"fou",{{Outer}}},{"type":"gre",{{Outer}}}]""")
        {
            Tshark = ["-d", "udp.port==5555,gre"],
        },
        ["gre in UDP at its port"] = new(
            (p, f) => Ip4(f, 17, Udp(4754, [0xB0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 77, 0, 0, 0, 1, .. p])),
            $$"""[{"type":"fou",{{Outer}}},{"type":"gre","id":77,{{Outer}}}]"""),
        ["gue"] = new((p, f) => Ip4(f, 17, Udp(6080, [0, 4, 0, 0, .. p])), $$"""[{"type":"gue",{{Outer}}}]""") { Tshark = null },
        ["gue with options, IPv6"] = new((p, f) => Ip4(f, 17, Udp(6080, [1, 41, 0, 0, 1, 2, 3, 4, .. p])), $$"""[{"type":"gue",{{Outer}}}]""")
        {
            IsIPv6 = true,
            Tshark = null,
        },
        ["gue around gre"] = new(
            (p, f) => Ip4(f, 17, Udp(6080, [0, 47, 0, 0, 0, 0, 8, 0, .. p])), $$"""[{"type":"gue",{{Outer}}},{"type":"gre",{{Outer}}}]""")
        {
            Tshark = null,
        },
        ["gue without a header"] = new((p, f) => Ip4(f, 17, Udp(6080, p)), $$"""[{"type":"gue",{{Outer}}}]""") { Tshark = ["-d", "udp.port==6080,ip"] },
        ["mpls in UDP"] = new(
            (p, f) => Ip4(f, 17, Udp(6635, [.. Label(1000, true), .. p])), $$"""[{"type":"fou",{{Outer}}},{"type":"mpls","id":1000}]"""),
        ["mpls"] = new((p, f) => Ethernet(f, 0x8847, [.. Label(16, false), .. Label(1000, true), .. p]), """[{"type":"mpls","id":1000}]"""),
        ["mpls, IPv6"] = new((p, f) => Ethernet(f, 0x8847, [.. Label(1000, true), .. p]), """[{"type":"mpls","id":1000}]""") { IsIPv6 = true },
        ["mpls pseudowire with a control word"] = new(
            (p, f) => Ethernet(f, 0x8847, [.. Label(2000, true), 0, 0, 0, 1, .. Ethernet(f, Type(p), p)]), """[{"type":"mpls","id":2000}]""")
        {
            Tshark = ["-d", "mpls.label==2000,pwethcw"],
        },
        ["mpls pseudowire without"] = new((p, f) => Ethernet(f, 0x8847, [.. Label(2000, true), .. Ethernet(f, Type(p), p)]), """[{"type":"mpls","id":2000}]""")
        {
            Tshark = ["-d", "mpls.label==2000,pwethnocw"],
        },
        ["pppoe"] = new((p, f) => Ethernet(f, 0x8864, Pppoe(513, p)), """[{"type":"pppoe","id":513}]"""),
        ["pppoe in a vlan, IPv6"] = new((p, f) => Ethernet(f, 0x8100, Tag(7, 0x8864, Pppoe(513, p))), """[{"type":"vlan","id":7},{"type":"pppoe","id":513}]""") { IsIPv6 = true },
        ["ah"] = new((p, f) => Authenticated(p), """[{"type":"ah"}]"""),
        ["ah, IPv6"] = new((p, f) => Authenticated(p), """[{"type":"ah"}]""") { IsIPv6 = true },
        ["ah around ipip"] = new((p, f) => Authenticated(Ip4(f, 4, p)[14..]), $$"""[{"type":"ah"},{"type":"ipip",{{Outer}}}]"""),
        ["macsec without encryption"] = new((p, f) => Ethernet(f, 0x88E5, [0x20, 0, 0, 0, 0, 1, .. new byte[8], (byte)(Type(p) >> 8), (byte)Type(p), .. p, .. new byte[16]]), ""),
        ["vxlan in gre in ipip"] = new(
            (p, f) => Ip4(f, 4, Ip4(f, 47, [0, 0, 8, 0, .. Ip4(f, 17, Udp(4789, Vxlan(42, Ethernet(f, Type(p), p))))[14..]])[14..]),
            $$"""[{"type":"ipip",{{Outer}}},{"type":"gre",{{Outer}}},{"type":"vxlan","id":42,{{Outer}}}]"""),
    };

    /// <summary>A handshake and five probes with their replies, a second apart, each packet in the tunnel.</summary>
    public static CaptureBytes Captured(Wrap wrap, bool ipv6 = false) => Captured(new CaptureBytes().Pcap(), wrap, ipv6);

    public static CaptureBytes Captured(CaptureBytes file, Wrap wrap, bool ipv6 = false, string client = "10.0.0.1:40000", string server = "10.0.0.2:443", bool answers = true)
    {
        foreach (var (seconds, forth, packet) in Packets(ipv6, client, server))
        {
            if (answers || forth || seconds == 0)
            {
                file.Record(wrap(packet, forth), seconds, forth ? 0u : 500);
            }
        }
        return file;
    }

    /// <summary>The same as packets: seconds, direction, bytes from the IP header on.</summary>
    public static IEnumerable<(uint Seconds, bool Forth, byte[] Packet)> Packets(bool ipv6 = false, string client = "10.0.0.1:40000", string server = "10.0.0.2:443")
    {
        var ends = ipv6 ? (Client: "[fd77::1]:40000", Server: "[fd77::2]:443") : (Client: client, Server: server);
        const TcpFlags synAck = TcpFlags.Syn | TcpFlags.Ack;
        yield return (0, true, Packet(1000, 0, TcpFlags.Syn, 0));
        yield return (0, false, Packet(5000, 1001, synAck, 0));
        yield return (0, true, Packet(1001, 5001, TcpFlags.Ack, 0));
        for (var i = 1u; i <= 5; i++)
        {
            yield return (i, true, Packet(1000, 5001, TcpFlags.Ack, i));
            yield return (i, false, Packet(5001, 1001, TcpFlags.Ack, i));
        }

        byte[] Packet(uint sequence, uint acknowledged, TcpFlags flags, uint second)
        {
            var forth = sequence < 5000;
            return BuiltPacket.Tcp(
                IPEndPoint.Parse(forth ? ends.Client : ends.Server), IPEndPoint.Parse(forth ? ends.Server : ends.Client), sequence, acknowledged, (byte)flags, 500, [],
                BuiltPacket.Timestamps(1000 + second, 1000), (ushort)(100 + second)).Bytes;
        }
    }

    public static byte[] Ethernet(bool forth, ushort type, byte[] content)
    {
        byte[] client = [0x40, 0, 0, 0, 0, 1], server = [0x60, 0, 0, 0, 0, 2];
        return [.. forth ? server : client, .. forth ? client : server, (byte)(type >> 8), (byte)type, .. content];
    }

    public static byte[] Tag(int id, ushort type, byte[] content) => [(byte)(0x20 | (id >> 8)), (byte)id, (byte)(type >> 8), (byte)type, .. content];

    /// <summary>An Ethernet frame with an IPv4 packet between the tunnel's ends.</summary>
    public static byte[] Ip4(bool forth, byte protocol, byte[] content, int fragment = 0)
    {
        var length = 20 + content.Length;
        byte[] a = [192, 0, 2, 1], b = [192, 0, 2, 2];
        return Ethernet(forth, 0x0800,
            [0x45, 0, (byte)(length >> 8), (byte)length, 0, 1, (byte)(fragment >> 8), (byte)fragment, 64, protocol, 0, 0, .. forth ? a : b, .. forth ? b : a, .. content]);
    }

    public static byte[] Ip6(bool forth, byte protocol, byte[] content)
    {
        var (a, b) = (IPAddress.Parse("2001:db8::1").GetAddressBytes(), IPAddress.Parse("2001:db8::2").GetAddressBytes());
        return Ethernet(forth, 0x86DD,
            [0x60, 0, 0, 0, (byte)(content.Length >> 8), (byte)content.Length, protocol, 64, .. forth ? a : b, .. forth ? b : a, .. content]);
    }

    public static byte[] Udp(ushort port, byte[] content, ushort from = 50_000)
    {
        var length = 8 + content.Length;
        return [(byte)(from >> 8), (byte)from, (byte)(port >> 8), (byte)port, (byte)(length >> 8), (byte)length, 0, 0, .. content];
    }

    public static byte[] Vxlan(int network, byte[] frame) => [8, 0, 0, 0, (byte)(network >> 16), (byte)(network >> 8), (byte)network, 0, .. frame];

    public static byte[] Label(int label, bool last)
    {
        var entry = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(entry, ((uint)label << 12) | (last ? 0x100u : 0) | 64);
        return entry;
    }

    public static byte[] Pppoe(ushort session, byte[] packet)
    {
        var length = 2 + packet.Length;
        return [0x11, 0, (byte)(session >> 8), (byte)session, (byte)(length >> 8), (byte)length, 0, (byte)(packet[0] >> 4 == 4 ? 0x21 : 0x57), .. packet];
    }

    /// <summary>Puts an authentication header behind a packet's own.</summary>
    public static byte[] Authenticated(byte[] packet)
    {
        packet = [.. packet];
        var isIPv4 = packet[0] >> 4 == 4;
        var (at, protocolAt, lengthAt) = isIPv4 ? (20, 9, 2) : (40, 6, 4);
        byte[] header = [packet[protocolAt], 4, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, .. new byte[12]];
        packet[protocolAt] = 51;
        var length = packet.AsSpan(lengthAt);
        BinaryPrimitives.WriteUInt16BigEndian(length, (ushort)(BinaryPrimitives.ReadUInt16BigEndian(length) + header.Length));
        return Ethernet(true, isIPv4 ? (ushort)0x0800 : (ushort)0x86DD, [.. packet[..at], .. header, .. packet[at..]]);
    }

    private static byte[] Geneve(int network, ushort type, byte[] content, byte[]? options = null) =>
    [
        (byte)((options?.Length ?? 0) / 4), 0, (byte)(type >> 8), (byte)type, (byte)(network >> 16), (byte)(network >> 8), (byte)network, 0, .. options ?? [], .. content,
    ];

    private static ushort Type(byte[] packet) => packet[0] >> 4 == 4 ? (ushort)0x0800 : (ushort)0x86DD;
}
