using System.Buffers.Binary;
using System.Diagnostics;
using Keepalive.Config.Balancers;
using Keepalive.Linux.Namespaces;
using Keepalive.Linux.Packets;
using Keepalive.Simulator.Balancing;
using Keepalive.Simulator.Lab;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Lab;

/// <summary>Frames that no TCP stack sends, through the forwarder of a lab, while a connection continues.</summary>
[Collection(LiveLab.Labs)]
public sealed class OddFramesTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(15);

    /// <summary>For local experiments (IEEE 802, 0x88b5): no host answers these.</summary>
    private static readonly byte[] s_experiment = [0x88, 0xb5];

    private static readonly byte[] s_nobody = [2, 0, 0, 0, 0, 0x99];

    [Fact]
    public void Forwarder_OddFrames_ComeOutUnchangedInBothDirections()
    {
        Live.Require("tcpdump");
        using var lab = new LiveLab(IdleBehaviour.Find("reset-both")!.Value, TimeSpan.FromMinutes(10), capture: false);
        var connection = lab.Connect(isIPv6: false);
        connection.Carry(FlowEnd.Client, 100);
        using var client = lab.Running.Network.Client.Run(() => PacketRing.Open(LabNetwork.ClientLink));
        using var server = lab.Running.Network.Server.Run(() => PacketRing.Open(LabNetwork.ServerLink));
        var odd = Odd().ToList();

        foreach (var (from, to) in new[] { (client, server), (server, client) })
        {
            odd.ForEach(frame =>
            {
                from.Queue(frame);
                from.Flush();
            });
            Assert.Equal(0, from.NotSent);

            // Each frame once, whole, in order. Frames that the hosts send by themselves are ignored.
            Assert.Equal(odd.Select(Convert.ToHexString), Receive(to, odd).Select(Convert.ToHexString));
            connection.Carry(FlowEnd.Client, 100);
            connection.Carry(FlowEnd.Server, 100);
        }
        Assert.Equal(0, lab.Stop().Lost);
        Assert.DoesNotContain(lab.Events, what => what.Kind != LabEventKind.Opened);
    }

    [Fact]
    public void Forwarder_ThousandsOfRandomFrames_Continues()
    {
        Live.Require("tcpdump");
        const int count = 5_000;
        using var lab = new LiveLab(IdleBehaviour.Find("drop-until-syn")!.Value, TimeSpan.FromMinutes(10), capture: false);
        var connection = lab.Connect(isIPv6: true);
        using var client = lab.Running.Network.Client.Run(() => PacketRing.Open(LabNetwork.ClientLink));
        var random = new Random(3);
        for (var i = 0; i < count; i++)
        {
            var noise = new byte[random.Next(14, 1514)];
            random.NextBytes(noise);
            byte[][] types = [[0x08, 0x00], [0x86, 0xdd], [0x81, 0x00], [0x08, 0x06], [noise[12], noise[13]]];
            types[random.Next(types.Length)].CopyTo(noise, 12);
            if (noise.Length > 24)
            {
                noise[14] = noise[12] == 0x86 ? (byte)0x60 : (byte)0x45;
                noise[noise[12] == 0x86 ? 20 : 23] = 6;
            }
            client.Queue(noise);
            client.Flush();
            if (i % 500 == 0)
            {
                connection.Carry(FlowEnd.Client, 10);
            }
        }
        Assert.Equal(0, client.NotSent);

        connection.Carry(FlowEnd.Server, 1000);
        connection.Carry(FlowEnd.Client, 1000);
        Assert.InRange(lab.Stop().Frames, count, count * 3);
    }

    /// <summary>Between two interfaces with a larger MTU than the lab's ring can hold.</summary>
    [Fact]
    public void Forwarder_JumboFrames_AreDroppedAndCountedAndOthersForwarded()
    {
        Live.Require();
        // The space in front of a frame in its slot of the ring differs from MaxFrame's allowance.
        const int TooLong = 2040;
        using var space = NewNetworkNamespace.Create();
        LabSide.RunShell(space, """
            for pair in 'c0 b0' 's0 b1'; do
                set -- $pair
                ip link add $1 mtu 9000 arp off type veth peer name $2 mtu 9000
                for link in $1 $2; do
                    echo 1 > ipv6/conf/$link/disable_ipv6
                    ip link set $link up
                done
            done
            """);
        var (c0, b0, b1, s0) = space.Run(() => (PacketRing.Open("c0"), PacketRing.Open("b0"), PacketRing.Open("b1"), PacketRing.Open("s0")));
        var failures = new List<Exception>();
        var rule = new BalancerRule(TimeSpan.FromMinutes(1), IdleBehaviour.Find("silent-drop")!.Value);
        using (c0)
        using (s0)
        using (var forwarder = new Forwarder(b0, b1, rule, Stopwatch.GetTimestamp(), null, _ => { }, failures.Add))
        {
            forwarder.Start();
            byte[] Frame(int length) =>
                [.. Segment.ServerHardware, .. Segment.ClientHardware, .. s_experiment, .. Enumerable.Range(0, length - 14).Select(i => (byte)i)];
            int[] lengths = [60, PacketRing.MaxFrame, TooLong, TooLong, 61];
            foreach (var length in lengths)
            {
                c0.Queue(Frame(length));
            }
            c0.Flush();
            Assert.Equal((5, 0), (c0.Sent, c0.NotSent));

            byte[][] expected = [.. lengths.Where(length => length != TooLong).Select(Frame)];
            Assert.Equal(expected.Select(Convert.ToHexString), Receive(s0, expected).Select(Convert.ToHexString));
            forwarder.Dispose();
            Assert.Equal((5, 2), (forwarder.Frames, forwarder.Lost));
        }
        Assert.Empty(failures);
    }

    [Fact]
    public void FrameLog_ReadByTshark_HasBothSidesAndTheBalancersActions()
    {
        Live.Require("tcpdump", "tshark");
        var file = Path.GetTempFileName();
        try
        {
            using (var lab = new LiveLab(IdleBehaviour.Find("reset-on-next-packet")!.Value, TimeSpan.FromSeconds(1), log: file))
            {
                var connections = new[] { false, true }.Select(isIPv6 => lab.Connect(isIPv6)).ToList();
                connections.ForEach(connection => connection.Carry(FlowEnd.Client, 100));
                foreach (var connection in connections)
                {
                    connection.WaitFor(LabEventKind.Expired, s_patience);
                    lab.Client.Send(connection.Client, 10);
                    Assert.Equal("reset", connection.WaitForReaction(FlowEnd.Client));
                }
                lab.Stop();

                string[] fields =
                [
                    "frame.interface_name", "tcp.srcport", "tcp.flags.reset", "tcp.seq_raw", "tcp.len", "tcp.checksum.status", "ip.checksum.status",
                    "frame.comment",
                ];
                string[] tshark = ["tshark", "-r", file, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-Y", "tcp", "-T", "fields"];
                var lines = Command.Run([.. tshark, .. fields.SelectMany(field => new[] { "-e", field })]).Lines.Select(line => line.Split('\t')).ToList();
                // 1 is "good"; IPv6 has no header checksum.
                Assert.All(lines, field => Assert.True(field[5] == "1" && field[6] is "1" or "", string.Join(' ', field)));
                foreach (var connection in connections)
                {
                    var reset = connection.SeenBy(FlowEnd.Client, FlowEnd.Server).Single(segment => segment.Flags == "R");
                    Assert.Contains(lines, field => (field[0], field[2], field[3], field[7]) == ("client", "1", $"{reset.Sequence}", "sent by the balancer"));
                    // Ten bytes from the client, on its own side only.
                    var speech = lines.Where(field => (field[1], field[4]) == ($"{connection.ClientPort}", "10")).ToList();
                    Assert.NotEmpty(speech);
                    Assert.All(speech, field => Assert.Equal(("client", "swallowed by the balancer"), (field[0], field[7])));
                }
                // Every segment that an end's kernel sent or received is in its side's file.
                foreach (var end in new[] { FlowEnd.Client, FlowEnd.Server })
                {
                    Assert.Equal(connections.Sum(connection => connection.SeenBy(end).Count), lines.Count(field => field[0] == end.Name()));
                }
            }
        }
        finally
        {
            File.Delete(file);
        }
    }

    /// <summary>Frames for an unused hardware address, so that no host answers, in all forms that are a damaged TCP segment or
    /// none.</summary>
    private static IEnumerable<byte[]> Odd()
    {
        foreach (var isIPv6 in new[] { false, true })
        {
            var whole = new Segment(FlowEnd.Client, TcpFlags.Ack, 1, 2) { IsIPv6 = isIPv6, Payload = 600, Server = s_nobody, ServerPort = 9 }.ToFrame();
            // Truncated in the Ethernet, IP and TCP headers and in the payload.
            foreach (var length in new[] { 14, 15, 33, 34, 40, 53, 60, 70, 300 })
            {
                yield return whole[..length];
            }
            // Impossible header lengths and total lengths; another IP version.
            (int At, int Value)[] impossible =
                isIPv6 ? [(14, 0x40), (18, 0xff), (66, 0x00), (66, 0xf0)] : [(14, 0x4f), (14, 0x41), (14, 0x60), (16, 0xff), (46, 0x10)];
            foreach (var (at, value) in impossible)
            {
                var broken = (byte[])whole.Clone();
                broken[at] = (byte)value;
                if (at is 66 && value == 0xf0 || at is 14 && value == 0x4f)
                {
                    // A header length that reaches beyond the frame.
                    broken = broken[..70];
                }
                yield return broken;
            }
            // A packet too short for a TCP header, in a longer frame.
            var little = (byte[])whole.Clone();
            (little[isIPv6 ? 18 : 16], little[isIPv6 ? 19 : 17]) = (0, (byte)(isIPv6 ? 19 : 39));
            yield return little;
            // One tag, two tags, only a provider's tag, only a priority tag.
            yield return [.. whole[..12], 0x81, 0x00, 0x00, 0x2a, .. whole[12..]];
            yield return [.. whole[..12], 0x88, 0xa8, 0x60, 0x2a, 0x81, 0x00, 0xaf, 0xff, .. whole[12..]];
            yield return [.. whole[..12], 0x88, 0xa8, 0x00, 0x07, .. whole[12..]];
            yield return [.. whole[..12], 0x81, 0x00, 0xe0, 0x00, .. whole[12..]];
        }
        // Fragments: the first, one in the middle, the last.
        foreach (var (high, low) in new[] { (0x20, 0), (0x20, 9), (0, 18) })
        {
            var fragment = new Segment(FlowEnd.Client, TcpFlags.Ack, 1, 2) { Payload = 600, Server = s_nobody }.ToFrame();
            (fragment[20], fragment[21]) = ((byte)high, (byte)low);
            yield return fragment;
        }
        // UDP and non-IP frames; the longest frame possible, with and without a tag, and the shortest.
        var datagram = new Segment(FlowEnd.Client, TcpFlags.Ack, 1, 2) { Payload = 100, Server = s_nobody }.ToFrame();
        datagram[23] = 17;
        yield return datagram;
        yield return [.. s_nobody, .. Segment.ClientHardware, .. s_experiment, .. new byte[1500]];
        yield return [.. s_nobody, .. Segment.ClientHardware, 0x81, 0x00, 0x00, 0x2a, .. s_experiment, .. new byte[1500]];
        yield return [.. s_nobody, .. Segment.ClientHardware, .. s_experiment];
    }

    /// <summary>Reads frames from a ring until it has the wanted number of wanted ones, with the tags that the kernel removed.</summary>
    private static List<byte[]> Receive(PacketRing ring, IReadOnlyList<byte[]> wanted)
    {
        var known = wanted.Select(Convert.ToHexString).ToHashSet();
        var frames = new List<byte[]>();
        var clock = Stopwatch.StartNew();
        // The comparison after the wait shows missing frames best.
        Eventually.True(
            () =>
            {
                while (ring.TryPeek(0, out var frame))
                {
                    byte[] bytes = frame.Tag == 0
                        ? [.. frame.Bytes]
                        : [.. frame.Bytes[..12], .. BitConverter.GetBytes(BinaryPrimitives.ReverseEndianness(frame.Tag)), .. frame.Bytes[12..]];
                    if (known.Contains(Convert.ToHexString(bytes)) || bytes[5] == s_nobody[5])
                    {
                        frames.Add(bytes);
                    }
                    ring.Release(1);
                }
                return frames.Count >= wanted.Count || clock.Elapsed > s_patience;
            },
            s_patience * 2);
        return frames;
    }
}
