using System.Diagnostics;
using Keepalive.Linux.Packets;
using Keepalive.Probes.Capture;
using Keepalive.Probes.Classify;
using Keepalive.Probes.Reports;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Probes.Tests.Capture;

/// <summary>Valid captures with bytes changed, removed and doubled. Each is read to its end.</summary>
public sealed class MutationTests
{
    private static readonly int s_mutants = Fuzz.Cases(120_000);
    private static readonly int s_seed = Fuzz.Seed(20_261);

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Probes_MutantsOfValidCaptures_NeverCrashOrHang()
    {
        byte[][] plain = [.. Originals()];
        byte[][] inTunnels = [.. Tunnels.All.Values.Select(tunnel => Tunnels.Captured(tunnel.Wrap, tunnel.IsIPv6).ToArray())];
        Assert.All(plain, original => Assert.Equal((null, 2L), Scan(original)));
        Assert.All(inTunnels, original => Assert.Equal((null, 5L), Scan(original)));
        byte[][] originals = [.. plain, .. inTunnels];

        var random = new Random(s_seed);
        var (damaged, slowest, clock) = (0, TimeSpan.Zero, new Stopwatch());
        for (var i = 0; i < s_mutants; i++)
        {
            var mutant = Mutate(originals[i % originals.Length], random);
            clock.Restart();
            try
            {
                damaged += Scan(mutant).Problem is null ? 0 : 1;
            }
            catch (Exception e)
            {
                Assert.Fail($"mutant {i} of seed {s_seed}: {Convert.ToHexString(mutant)}\n{e}");
            }
            slowest = clock.Elapsed > slowest ? clock.Elapsed : slowest;
        }

        // Some mutants must be valid and some damaged; otherwise the test proves little.
        Assert.InRange(damaged, s_mutants / 20, s_mutants * 19 / 20);
        Assert.True(slowest < TimeSpan.FromSeconds(5), $"one took {slowest}");
    }

    /// <summary>A connection with two answered probes, in every kind of frame and file.</summary>
    private static IEnumerable<byte[]> Originals()
    {
        foreach (var link in (LinkType[])[LinkType.Ethernet, LinkType.LinuxCooked, LinkType.LinuxCooked2, LinkType.Raw, LinkType.Null, LinkType.NetfilterLog])
        {
            foreach (var ipv6 in (bool[])[false, true])
            {
                var frames = Frames(link, ipv6);
                foreach (var big in (bool[])[false, true])
                {
                    var (pcap, modified, ng) = (new CaptureBytes(big).Pcap(link), new CaptureBytes(big).ModifiedPcap(link), new CaptureBytes(big).Section().Interface(link, resolution: 6));
                    for (var i = 0; i < frames.Length; i++)
                    {
                        pcap.Record(frames[i], (uint)i);
                        modified.ModifiedRecord(frames[i], (uint)i);
                        ng.Enhanced(frames[i], (ulong)i * 1_000_000);
                    }
                    yield return pcap.ToArray();
                    yield return modified.ToArray();
                    yield return ng.ToArray();
                }
            }
        }
    }

    private static byte[][] Frames(LinkType link, bool ipv6)
    {
        var (client, server) = ipv6 ? ("[fd77::1]:40000", "[fd77::2]:443") : ("10.0.0.1:40000", "10.0.0.2:443");
        ushort[] tags = link is LinkType.Raw or LinkType.Null or LinkType.NetfilterLog ? [] : [0x8100];
        byte[] extension = [6, 0, 1, 4, 0, 0, 0, 0];
        var request = new Frame
        {
            Link = link,
            Tags = tags,
            Source = client,
            Destination = server,
            Acknowledged = 9,
            Timestamp = 1,
            NetworkOptions = ipv6 ? extension : [1, 1, 1, 0],
            FirstExtension = ipv6 ? (byte)60 : (byte)6,
        };
        var reply = request with { Source = server, Destination = client, Acknowledged = 5, Sequence = 9 };
        return
        [
            (request with { Sequence = 0, Payload = new byte[5] }).ToBytes(), reply.ToBytes(),
            .. Enumerable.Range(2, 2).SelectMany(time => new[] { (request with { Sequence = 4, Timestamp = (uint)time }).ToBytes(), (reply with { Timestamp = (uint)time }).ToBytes() }),
        ];
    }

    private static byte[] Mutate(byte[] original, Random random)
    {
        var bytes = original.ToList();
        for (var n = random.Next(1, 4); n > 0 && bytes.Count > 0; n--)
        {
            var at = random.Next(bytes.Count);
            switch (random.Next(6))
            {
                case 0:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 1:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 2:
                    bytes[at] = (byte)(random.Next(2) * 255);
                    break;
                case 3:
                    bytes.RemoveRange(at, Math.Min(random.Next(1, 9), bytes.Count - at));
                    break;
                case 4:
                    bytes.InsertRange(at, bytes.GetRange(at, Math.Min(random.Next(1, 99), bytes.Count - at)));
                    break;
                default:
                    bytes.RemoveRange(at, random.Next(4) == 0 ? bytes.Count - at : 0);
                    break;
            }
        }
        return [.. bytes];
    }

    private static (string? Problem, long Probes) Scan(byte[] file)
    {
        var report = ProbeReport.Create(Stream.Null, json: file.Length % 2 == 0);
        var scan = new ProbeScan(report, maxFlows: 16);
        string? problem = null;
        try
        {
            using var source = CaptureFile.Open(new MemoryStream(file));
            while (source.TryRead(out var packet))
            {
                scan.Take(in packet);
            }
        }
        catch (CaptureException e)
        {
            problem = e.Message;
        }
        scan.End();
        report.Summarize(scan, dropped: null);
        report.Flush();
        return (problem, scan.Probes);
    }
}
