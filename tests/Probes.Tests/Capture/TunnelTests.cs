using System.Text.Json;
using Keepalive.Linux.Packets;
using Keepalive.Probes.Classify;
using Keepalive.Testbed;
using Xunit;
using static Keepalive.Probes.Tests.Capture.Tunnels;

namespace Keepalive.Probes.Tests.Capture;

/// <summary>Connections in VLANs and tunnels: found, told apart, and compared with tshark's dissection of the same file.</summary>
public sealed class TunnelTests : IDisposable
{
    private static readonly byte[] s_arp = [0, 1, 8, 0, 6, 4, 0, 1, 0x40, 0, 0, 0, 0, 1, 10, 0, 0, 1, .. new byte[6], 10, 0, 0, 2];

    private readonly string _file = Path.GetTempFileName();

    public static TheoryData<string> Names => [.. All.Keys];

    public static TheoryData<string> NamesOfTshark => [.. All.Where(tunnel => tunnel.Value.Tshark is not null).Select(tunnel => tunnel.Key)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Probes_InATunnel_AreAllFoundWithTheWay(string name)
    {
        var tunnel = All[name];
        var (findings, summary) = Read(Captured(tunnel.Wrap, tunnel.IsIPv6));

        Assert.Equal(Enumerable.Range(4, 10), findings.Select(finding => finding.GetProperty("frame").GetInt32()));
        Assert.Equal((13, 1, 5, 5, 0), Figures(summary));
        Assert.Equal(tunnel.Json, Way(findings[0]));
        Assert.Equal(tunnel.Json, Way(summary.GetProperty("connections")[0]));
        Assert.Equal("{}", summary.GetProperty("notTcp").GetRawText());
    }

    [Theory]
    [MemberData(nameof(NamesOfTshark))]
    public void Probes_InATunnel_AreThoseThatTsharkFinds(string name)
    {
        Assert.SkipUnless(Command.Exists("tshark"), "tshark is not installed");
        var tunnel = All[name];
        var capture = Captured(tunnel.Wrap, tunnel.IsIPv6);
        File.WriteAllBytes(_file, capture.ToArray());

        var theirs = Command.Run(["tshark", "-n", "-r", _file, .. tunnel.Tshark!, "-Y", "tcp.analysis.keep_alive", "-T", "fields", "-e", "frame.number"]).Lines;

        var ours = Read(capture).Findings.Where(finding => finding.GetProperty("kind").GetString() == "probe");
        Assert.Equal(theirs.Select(line => line.Trim()), ours.Select(finding => finding.GetProperty("frame").GetRawText()));
    }

    /// <summary>A capture may end anywhere: with the TCP header the segment is found, without it the packet is counted as cut.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void Read_CutAnywhere_IsTruncatedOrOtherUntilTheTcpHeaderIsThere(string name)
    {
        var tunnel = All[name];
        var layers = new EncapsulationLayer[TunnelReader.MaxLayers];
        foreach (var (_, forth, packet) in Packets(tunnel.IsIPv6))
        {
            var frame = tunnel.Wrap(packet, forth);
            var trailer = name.StartsWith("macsec", StringComparison.Ordinal) ? 16 : 0;
            var needed = frame.Length - trailer - 12;   // without the options
            for (var length = 0; length <= frame.Length; length++)
            {
                var content = new TunnelReader(layers).Read(LinkType.Ethernet, frame.AsSpan(0, length), frame.Length, out var segment);
                Assert.Equal((length, length >= needed, length >= needed), (length, content == FrameContent.Segment, segment.Sequence != 0));
            }
        }
    }

    [Fact]
    public void Probes_SameAddressesInTwoVlans_AreTwoConnections()
    {
        var file = new CaptureBytes().Pcap();
        foreach (var (seconds, forth, packet) in Packets())
        {
            if (forth || seconds == 0)
            {
                file.Record(Ethernet(forth, 0x8100, Tag(10, 0x0800, packet)), seconds);
            }
            file.Record(Ethernet(forth, 0x8100, Tag(20, 0x0800, Shifted(packet))), seconds, 700);
        }

        var (_, summary) = Read(file);

        Assert.Equal((21, 2, 10, 5, 0), Figures(summary));
        Assert.Equal(
            ["""[{"type":"vlan","id":10}] 5 of 5 unanswered""", """[{"type":"vlan","id":20}] 0 of 5 unanswered"""],
            Connections(summary).Select(c => $"{Way(c)} {c.GetProperty("unansweredAtEnd")} of {c.GetProperty("probes")} unanswered").Order());
    }

    /// <summary>Overlays that number by the sender's identity, labels of one direction, and balancers whose tunnel has no way back.</summary>
    [Theory]
    [InlineData("vxlan by identity")]
    [InlineData("labels")]
    [InlineData("direct return")]
    public void Probes_OtherWayBack_AreAnswered(string name)
    {
        Wrap wrap = name switch
        {
            "vxlan by identity" => static (p, f) => Ip4(f, 17, Udp(8472, Vxlan(f ? 1111 : 2222, Ethernet(f, 0x0800, p)))),
            "labels" => static (p, f) => Ethernet(f, 0x8847, [.. Label(f ? 100 : 200, true), .. p]),
            _ => static (p, f) => f ? Ip4(f, 4, p) : Ethernet(f, 0x0800, p),
        };

        Assert.Equal((13, 1, 5, 5, 0), Figures(Read(Captured(wrap)).Summary));
    }

    /// <summary>The first packet of a capture is of one VLAN and the next, the other way, of another: what follows shows that they are two connections.</summary>
    [Fact]
    public void Probes_CaptureBeginsWithOneDirectionOfEachVlan_AreOfTheRightConnection()
    {
        var file = new CaptureBytes().Pcap();
        var packets = Packets().ToList();
        file.Record(InVlan(10, packets[0]), 0).Record(InVlan(20, packets[1]), 0);
        foreach (var packet in packets.Where(packet => packet.Seconds > 0))
        {
            file.Record(InVlan(20, packet), packet.Seconds);
            if (packet.Forth)
            {
                file.Record(InVlan(10, packet with { Packet = Shifted(packet.Packet) }), packet.Seconds, 200);
            }
        }

        var answered = Assert.Single(Connections(Read(file).Summary), c => c.GetProperty("replies").GetInt32() > 0);

        Assert.Equal("""[{"type":"vlan","id":20}] 5""", $"{Way(answered)} {answered.GetProperty("replies")}");

        static byte[] InVlan(int id, (uint Seconds, bool Forth, byte[] Packet) packet) => Ethernet(packet.Forth, 0x8100, Tag(id, 0x0800, packet.Packet));
    }

    [Fact]
    public void Probes_SeenBeforeAndAfterTranslation_AreSaidToBeTheSame()
    {
        var file = new CaptureBytes().Pcap(LinkType.LinuxCooked2);
        foreach (var (before, after) in Packets(server: "10.96.0.10:80").Zip(Packets(server: "10.244.1.5:8080")))
        {
            // The node sees an answer first as the pod sends it.
            var (first, second) = before.Forth ? (before, after) : (after, before);
            file.Record(Cooked(first.Packet), first.Seconds, first.Forth ? 0u : 500).Record(Cooked(second.Packet), second.Seconds, second.Forth ? 20u : 520);
        }

        var (findings, summary) = Read(file);

        Assert.Equal((26, 2, 10, 10, 0), Figures(summary));
        Assert.Equal((5, 5), Copies(summary));
        Assert.All(findings.Chunk(2), pair => Assert.Equal(pair[0].GetProperty("frame").GetInt32(), pair[1].GetProperty("copyOf").GetInt32()));
        var copy = Assert.Single(Connections(summary), c => c.TryGetProperty("sameAs", out _));
        Assert.Equal("10.244.1.5:8080", copy.GetProperty("destination").GetString());
        Assert.Equal("""{"source":"10.0.0.1:40000","destination":"10.96.0.10:80"}""", copy.GetProperty("sameAs").GetRawText());
        var table = CaptureReport.Table(file);
        Assert.Contains("10.0.0.1:40000>10.244.1.5:8080: the same packets as 10.0.0.1:40000>10.96.0.10:80, with other addresses (NAT)\n", table, StringComparison.Ordinal);
        Assert.EndsWith("; 5 probes and 5 answers of these are the same packets again\n", table, StringComparison.Ordinal);
    }

    [Fact]
    public void Probes_SeenBeforeAndInATunnel_AreSaidToBeTheSame()
    {
        var file = new CaptureBytes().Pcap();
        foreach (var (seconds, forth, packet) in Packets())
        {
            var (plain, inside) = (Ethernet(forth, 0x0800, packet), All["vxlan"].Wrap(packet, forth));
            file.Record(forth ? plain : inside, seconds, forth ? 0u : 500).Record(forth ? inside : plain, seconds, forth ? 20u : 520);
        }

        var (findings, summary) = Read(file);

        Assert.Equal((26, 2, 10, 10, 0), Figures(summary));
        Assert.Equal((5, 5), Copies(summary));
        Assert.Equal((All["vxlan"].Json, 7), (Way(findings[1]), findings[1].GetProperty("copyOf").GetInt32()));
        Assert.Contains(
            "10.0.0.1:40000>10.0.0.2:443 in vxlan 42 192.0.2.1>192.0.2.2: the same packets as 10.0.0.1:40000>10.0.0.2:443 in no VLAN or tunnel\n",
            CaptureReport.Table(file), StringComparison.Ordinal);
    }

    [Fact]
    public void Probes_TwiceOnAny_AreCountedOnceAndSaidToBeTwice()
    {
        var file = new CaptureBytes().Pcap(LinkType.LinuxCooked2);
        foreach (var (seconds, forth, packet) in Packets())
        {
            file.Record(Cooked(packet), seconds, forth ? 0u : 500).Record(Cooked(packet), seconds, forth ? 20u : 520);
        }

        var (_, summary) = Read(file);

        Assert.Equal((26, 1, 5, 5, 13), Figures(summary));
        Assert.EndsWith(", 13 segments captured twice (a capture on 'any' has a packet once for each interface)\n", CaptureReport.Table(file), StringComparison.Ordinal);
    }

    [Fact]
    public void Probes_OfDifferentConnectionsAtOnce_AreNoCopies()
    {
        var file = new CaptureBytes().Pcap();
        foreach (var (one, other) in Packets().Zip(Packets(client: "10.0.0.1:40001")))
        {
            file.Record(Ethernet(one.Forth, 0x0800, one.Packet), one.Seconds).Record(Ethernet(one.Forth, 0x0800, Shifted(other.Packet)), one.Seconds);
        }

        Assert.Equal((0, 0), Copies(Read(file).Summary));
    }

    public static TheoryData<string, byte[], string> Hidden => new()
    {
        { "MACsec", Ethernet(true, 0x88E5, [0x2C, 0, 0, 0, 0, 1, .. new byte[60]]), """{"macsec":1}""" },
        { "ESP", Ip4(true, 50, [0, 0, 1, 1, 0, 0, 0, 1, .. new byte[60]]), """{"esp":1}""" },
        { "ESP, IPv6", Ip6(true, 50, [0, 0, 1, 1, 0, 0, 0, 1, .. new byte[60]]), """{"esp":1}""" },
        { "ESP in UDP", Ip4(true, 17, Udp(4500, [0xC0, 0, 1, 1, 0, 0, 0, 1, .. new byte[60]], from: 4500)), """{"esp":1}""" },
        { "IKE beside it", Ip4(true, 17, Udp(4500, [0, 0, 0, 0, 1, 2, 3, 4, .. new byte[60]], from: 4500)), """{"udp":1}""" },
        { "the keepalive of NAT traversal", Ip4(true, 17, Udp(4500, [0xFF], from: 4500)), """{"udp":1}""" },
        { "WireGuard, initiation", Ip4(true, 17, Udp(51820, [1, 0, 0, 0, .. new byte[144]])), """{"wireGuard":1}""" },
        { "WireGuard, response", Ip4(true, 17, Udp(51820, [2, 0, 0, 0, .. new byte[88]])), """{"wireGuard":1}""" },
        { "WireGuard, cookie", Ip4(true, 17, Udp(51820, [3, 0, 0, 0, .. new byte[60]])), """{"wireGuard":1}""" },
        { "WireGuard, data", Ip4(true, 17, Udp(443, [4, 0, 0, 0, 9, 9, 9, 9, 7, 0, 0, 0, 0, 0, 0, 0, .. new byte[96]])), """{"wireGuard":1}""" },
        { "WireGuard in VXLAN", All["vxlan"].Wrap(Ip4(true, 17, Udp(51820, [1, 0, 0, 0, .. new byte[144]]))[14..], true), """{"wireGuard":1}""" },
        { "almost WireGuard", Ip4(true, 17, Udp(51820, [1, 0, 0, 0, .. new byte[143]])), """{"udp":1}""" },
        { "GRE of PPTP", Ip4(true, 47, [0x30, 1, 0x88, 0x0B, 0, 4, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4]), """{"gre":1}""" },
        { "a later fragment", Ip4(true, 17, new byte[60], fragment: 100), """{"fragment":1}""" },
        { "too many tunnels", Deep(9), """{"nestedTooDeep":1}""" },
        { "ARP in VXLAN", Ip4(true, 17, Udp(4789, Vxlan(42, Ethernet(true, 0x0806, new byte[28])))), """{"arp":1}""" },
        { "ICMP", Ip4(true, 1, new byte[30]), """{"icmp":1}""" },
        { "DNS", Ip4(true, 17, Udp(53, new byte[30])), """{"udp":1}""" },
        { "ARP in VXLAN at a port of its own", Ip4(true, 17, Udp(5555, Vxlan(42, Ethernet(true, 0x0806, s_arp)))), """{"arp":1}""" },
        { "ARP in VXLAN at the port of NAT traversal", Ip4(true, 17, Udp(4500, Vxlan(42, Ethernet(true, 0x0806, s_arp)), from: 4500)), """{"arp":1}""" },
        { "ARP in Geneve at the port of NAT traversal", Ip4(true, 17, Udp(4500, [0, 0, 0x65, 0x58, 0, 0, 7, 0, .. Ethernet(true, 0x0806, s_arp)])), """{"arp":1}""" },
        { "VXLAN around another protocol", Ip4(true, 17, Udp(4790, [0x0C, 0, 0, 4, 0, 0, 42, 0, .. new byte[30]])), """{"vxlan":1}""" },
        { "VXLAN without a network", Ip4(true, 17, Udp(4789, new byte[60])), """{"vxlan":1}""" },
        { "Geneve around another protocol", Ip4(true, 17, Udp(6081, [0, 0, 0x89, 0x4F, 0, 0, 7, 0, .. new byte[30]])), """{"geneve":1}""" },
        { "GUE, a control message", Ip4(true, 17, Udp(6080, [0x20, 4, 0, 0, .. new byte[30]])), """{"gue":1}""" },
        { "GUE around another protocol", Ip4(true, 17, Udp(6080, [0, 97, 0, 0, .. new byte[30]])), """{"gue":1}""" },
        { "L2TP", Ip4(true, 17, Udp(1701, [0x40, 2, 0, 50, .. new byte[46]], from: 1701)), """{"l2tp":1}""" },
        { "L2TP, version 3 in IP", Ip4(true, 115, new byte[30]), """{"l2tp":1}""" },
        { "GTP-U", Ip4(true, 17, Udp(2152, [0x30, 0xFF, 0, 20, .. new byte[24]])), """{"gtpU":1}""" },
        { "OpenVPN, the answer", Ip4(true, 17, Udp(50_000, [0x48, .. new byte[40]], from: 1194)), """{"openVpn":1}""" },
        { "LISP", Ip4(true, 17, Udp(4341, new byte[40])), """{"lisp":1}""" },
        { "CAPWAP", Ip4(true, 17, Udp(5247, new byte[40])), """{"capwap":1}""" },
        { "IPComp", Ip4(true, 108, [4, 0, 0, 2, .. new byte[40]]), """{"ipcomp":1}""" },
        { "almost foo over UDP: its length does not fit", Ip4(true, 17, Udp(5555, [.. Packets().First().Packet, 0])), """{"udp":1}""" },
        { "something else", Ethernet(true, 0x88CC, new byte[30]), """{"other":1}""" },
        // Nothing of these is taken for a tunnel at a port that is not a tunnel's.
        { "VXLAN with a reserved bit", Unlike(bytes => bytes[1] = 1), """{"udp":1}""" },
        { "VXLAN from a group address", Unlike(bytes => bytes[8 + 6] |= 1), """{"udp":1}""" },
        { "VXLAN around no IPv4", Unlike(bytes => bytes[8 + 14] = 0x55), """{"udp":1}""" },
        { "VXLAN around a packet longer than it", Unlike(bytes => bytes[8 + 14 + 2] = 9), """{"udp":1}""" },
    };

    [Theory]
    [MemberData(nameof(Hidden))]
    public void Probes_WithoutReadableTcp_AreCountedByName(string what, byte[] frame, string expected)
    {
        var file = new CaptureBytes().Pcap().Record(frame);
        var (_, summary) = Read(file);

        Assert.Equal((what, expected, 0, 0), (what, summary.GetProperty("notTcp").GetRawText(), summary.GetProperty("segments").GetInt32(), summary.GetProperty("truncated").GetInt32()));
        Assert.Matches("packets that cannot be looked into: 1 ([A-Z]|in )|packets without TCP: 1 (ICMP|SCTP|ARP|UDP|of other protocols)", CaptureReport.Table(file));
    }

    /// <summary>A person who captured a tunnel that is not known here sees where it goes to, and that it may well have TCP inside.</summary>
    [Fact]
    public void Summarize_OnlyUdp_NamesThePortAndNoKind()
    {
        var file = new CaptureBytes().Pcap().Record(Ip4(true, 17, Udp(5555, new byte[40]))).Record(Ip4(true, 17, Udp(53, new byte[40])));

        Assert.Equal(
            """
            packets without TCP: 2 UDP in which no tunnel was recognised (the first to port 5555)
            2 packets, 0 TCP segments of 0 connections: 0 probes, 0 answered

            """,
            CaptureReport.Table(file));
    }

    /// <summary>Beside TCP, too, what cannot be looked into is said: the probes may be in there.</summary>
    [Fact]
    public void Summarize_TcpAndWhatHidesIt_NamesWhatHidesIt()
    {
        var file = Captured((packet, forth) => Ethernet(forth, 0x0800, packet));
        foreach (var row in Hidden)
        {
            file.Record(row.Data.Item2, 9);
        }

        Assert.Contains(
            "packets that cannot be looked into: 1 MACsec, 3 ESP, 5 WireGuard, 1 OpenVPN, 2 VXLAN of another kind, 1 Geneve of another kind, 2 GUE of another kind, 2 L2TP, "
                + "1 GTP-U, 1 LISP, 1 CAPWAP, 1 IPComp, 1 GRE of another kind, 1 in later IP fragments, 1 in too many tunnels\n",
            CaptureReport.Table(file), StringComparison.Ordinal);
    }

    [Fact]
    public void Read_EightLayers_AreFollowed()
    {
        var layers = new EncapsulationLayer[TunnelReader.MaxLayers];
        var reader = new TunnelReader(layers);

        Assert.Equal(FrameContent.Segment, reader.Read(LinkType.Ethernet, Deep(8), 0, out _));
        Assert.Equal(8, reader.Layers.Length);
    }

    /// <summary>One who sends the same connection in a new network with each packet must not make each packet slower, or the table larger.</summary>
    [Fact]
    public void Take_OneConnectionInVeryManyTunnels_KeepsFewOfThem()
    {
        var report = new Nowhere();
        var scan = new ProbeScan(report);
        var packet = Packets().First().Packet;
        for (var network = 0; network < 80_000; network++)
        {
            var frame = Ip4(true, 17, Udp(4789, Vxlan(network, Ethernet(true, 0x0800, packet))));
            scan.Take(new CapturedPacket(network + 1, network * 1_000_000L, LinkType.Ethernet, frame, frame.Length));
        }

        Assert.InRange(scan.Classifier.Flows.Count, 1, 64);
        Assert.Equal(80_000, scan.Segments);
    }

    [Fact]
    public void NumberOf_MoreWaysThanTheLimit_HasOneNumberForTheRest()
    {
        var paths = new PathTable();
        var numbers = new HashSet<int>();
        for (var network = 0; network < 2 * PathTable.Limit; network++)
        {
            numbers.Add(paths.NumberOf([new EncapsulationLayer(EncapsulationKind.Vxlan, network, 1, 2)]));
        }

        Assert.InRange(numbers.Count, PathTable.Limit / 2, PathTable.Limit);
        Assert.Contains(PathTable.Others, numbers);
        Assert.Equal(numbers.Min(n => n == PathTable.Others ? int.MaxValue : n), paths.NumberOf([new EncapsulationLayer(EncapsulationKind.Vxlan, 0, 1, 2)]));
        Assert.True(paths.IsSameWay(
            paths.NumberOf([new EncapsulationLayer(EncapsulationKind.Vxlan, 7, 1, 2)]), paths.NumberOf([new EncapsulationLayer(EncapsulationKind.Vxlan, 7, 2, 1)])));
    }

    [Fact]
    public void Take_KnownTunnels_AllocatesNothing()
    {
        var scan = new ProbeScan(new Nowhere());
        var frames = All.Values.SelectMany(tunnel => Packets(tunnel.IsIPv6).Select(p => tunnel.Wrap(p.Packet, p.Forth)))
            .Concat(Hidden.Select(row => row.Data.Item2)).ToArray();
        var round = 0;
        Run(1);

        Assert.Equal(0, Allocation.Of(() => Run(20)));

        void Run(int rounds)
        {
            for (var last = round + rounds; round < last; round++)
            {
                Take();
            }
        }

        void Take()
        {
            foreach (var frame in frames)
            {
                scan.Take(new CapturedPacket(scan.Packets + 1, round * 10_000_000_000L, LinkType.Ethernet, frame, frame.Length));
            }
        }
    }

    public void Dispose() => File.Delete(_file);

    private static byte[] Deep(int layers)
    {
        var packet = Packets().First().Packet;
        for (var i = 0; i < layers; i++)
        {
            packet = Ip4(true, 4, packet)[14..];
        }
        return Ethernet(true, 0x0800, packet);
    }

    private static byte[] Unlike(Action<byte[]> change)
    {
        var vxlan = Vxlan(42, Ethernet(true, 0x0800, Packets().First().Packet));
        change(vxlan);
        return Ip4(true, 17, Udp(5555, vxlan));
    }

    /// <summary>The same packet of another connection: its numbers are others.</summary>
    private static byte[] Shifted(byte[] packet)
    {
        packet = [.. packet];
        packet[20 + 4] += 9;
        packet[20 + 8] += packet[20 + 11] == 0 && packet[20 + 10] == 0 ? (byte)0 : (byte)9;
        return packet;
    }

    private static byte[] Cooked(byte[] packet) => [8, 0, .. new byte[18], .. packet];

    private static (int Segments, int Flows, int Probes, int Replies, int Duplicates) Figures(JsonElement summary)
    {
        return (Figure("segments"), Figure("flows"), Figure("probes"), Figure("replies"), Figure("duplicates"));

        int Figure(string name) => summary.GetProperty(name).GetInt32();
    }

    private static (int Probes, int Replies) Copies(JsonElement summary) =>
        (summary.GetProperty("copiedProbes").GetInt32(), summary.GetProperty("copiedReplies").GetInt32());

    private static string Way(JsonElement line) => line.TryGetProperty("encapsulation", out var way) ? way.GetRawText() : "";

    private static List<JsonElement> Connections(JsonElement summary) => [.. summary.GetProperty("connections").EnumerateArray()];

    private static (List<JsonElement> Findings, JsonElement Summary) Read(CaptureBytes file)
    {
        var lines = CaptureReport.Json(file).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement).ToList();
        return (lines[..^1], lines[^1]);
    }

    private sealed class Nowhere : IFindingSink
    {
        public void Found(in Finding finding)
        {
            // Only the counts matter.
        }
    }
}
