using Keepalive.Config.Balancers;
using Keepalive.Linux.Packets;
using Keepalive.Simulator.Balancing;
using Keepalive.Simulator.Lab;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Lab;

public sealed class TcpFrameTests
{
    [Fact]
    public void TryParse_WholeSegment_ReadsWhatWasWritten()
    {
        foreach (var isIPv6 in new[] { false, true })
        {
            var written = new Segment(FlowEnd.Client, TcpFlags.Ack | TcpFlags.Psh, 0xfffffff0, 77)
            {
                IsIPv6 = isIPv6,
                Payload = 33,
                Window = 4321,
                Timestamps = (88, 99),
            };
            var frame = written.ToFrame();
            // Ethernet pads short frames; the padding is not part of the IP packet.
            Array.Resize(ref frame, frame.Length + 7);

            Assert.True(TcpFrame.TryParse(frame, out var read));
            Assert.Equal((0xfffffff0u, 77u, 33, (ushort)4321), (read.Sequence, read.Acknowledgment, read.PayloadLength, read.Window));
            Assert.Equal((40000, 443), (read.SourcePort, read.DestinationPort));
            Assert.Equal((17u, isIPv6), (read.SequenceEnd, read.IsIPv6));
            Assert.True(read.Has(TcpFlags.Ack | TcpFlags.Psh));
            Assert.True(read.TryGetTimestamp(out var timestamp));
            Assert.Equal(88u, timestamp);
        }
    }

    [Fact]
    public void TryParse_SynWithFinAndPayload_TakesSequenceSpaceForEach()
    {
        Assert.True(TcpFrame.TryParse(new Segment(FlowEnd.Client, TcpFlags.Syn | TcpFlags.Fin, 1, 0) { Payload = 5 }.ToFrame(), out var segment));

        Assert.Equal((7u, 8u), (segment.SequenceLength, segment.SequenceEnd));
    }

    [Fact]
    public void TryParse_ExtensionHeadersBeforeTcp_AreSkipped()
    {
        var plain = new Segment(FlowEnd.Client, TcpFlags.Ack, 5, 6) { IsIPv6 = true, Payload = 3 }.ToFrame();

        Assert.True(TcpFrame.TryParse(WithExtensions(plain, (0, 8), (60, 16), (43, 24), (51, 16)), out var segment));
        Assert.Equal((5u, 3, 443), (segment.Sequence, segment.PayloadLength, segment.DestinationPort));
        // A fragment is no whole segment, not even an atomic one (RFC 6946).
        Assert.False(TcpFrame.TryParse(WithExtensions(plain, (0, 8), (44, 8)), out _));
        Assert.False(TcpFrame.TryParse(WithExtensions(plain, (50, 8)), out _));
    }

    /// <summary>For any input nothing is thrown, frames without a whole segment pass, and a host would accept every answer.</summary>
    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Process_RandomAndMutatedFrames_NeverThrowsAndForwardsNonSegments()
    {
        var rounds = Fuzz.Cases(300_000);
        var random = new Random(Fuzz.Seed(20_240_817));
        var (segments, others, forged, dropped) = (0, 0, 0, 0);
        var balancers = IdleBehaviour.Classes
            .Select(entry => new IdleBalancer(new BalancerRule(TimeSpan.FromMilliseconds(50), entry.Behaviour), Sent, _ => { }, capacity: 500))
            .ToArray();
        for (var i = 0; i < rounds; i++)
        {
            var frame = Mutate(random, Seed(random));
            var isSegment = Frames.IsWholeSegment(frame);
            Assert.True(isSegment == TcpFrame.TryParse(frame, out var segment), Convert.ToHexString(frame));
            if (isSegment)
            {
                _ = segment.TryGetTimestamp(out _);
                Assert.InRange(segment.PayloadLength, 0, frame.Length - 54);
            }
            var from = random.Next(2) == 0 ? FlowEnd.Client : FlowEnd.Server;
            var passes = balancers[i % balancers.Length].Process(from, frame, TimeSpan.FromMilliseconds(i / 100));
            Assert.True(passes || isSegment, Convert.ToHexString(frame));
            _ = isSegment ? segments++ : others++;
            dropped += passes ? 0 : 1;
            if (i % 1000 == 0)
            {
                Array.ForEach(balancers, balancer => balancer.Expire(TimeSpan.FromMilliseconds(i / 100)));
            }
        }

        // Many of both kinds occurred, and every class acted: otherwise nothing was tested.
        Assert.InRange(segments, rounds / 10, rounds);
        Assert.InRange(others, rounds / 10, rounds);
        Assert.InRange(forged, rounds / 300, rounds);
        Assert.InRange(dropped, rounds / 300, rounds);

        void Sent(FlowEnd to, ReadOnlySpan<byte> frame)
        {
            forged++;
            Assert.True(Frames.HasCorrectChecksums(frame), Convert.ToHexString(frame));
        }
    }

    private static byte[] Seed(Random random)
    {
        var from = random.Next(2) == 0 ? FlowEnd.Client : FlowEnd.Server;
        var segment = new Segment(from, (TcpFlags)random.Next(64), (uint)random.Next(), (uint)random.Next())
        {
            IsIPv6 = random.Next(2) == 0,
            ClientPort = 40000 + random.Next(4),
            Payload = random.Next(3) == 0 ? random.Next(1400) : random.Next(2),
            Timestamps = random.Next(2) == 0 ? null : (1, 2),
        };
        var frame = segment.ToFrame();
        int[] kinds = [0, 43, 44, 50, 51, 60];
        return random.Next(4) == 0 && segment.IsIPv6
            ? WithExtensions(frame, [.. Enumerable.Range(0, random.Next(1, 4)).Select(_ => (kinds[random.Next(kinds.Length)], random.Next(1, 5) * 8))])
            : frame;
    }

    private static byte[] Mutate(Random random, byte[] frame)
    {
        switch (random.Next(8))
        {
            case 0:
                return frame[..random.Next(frame.Length)];
            case 1:
                // With a VLAN tag.
                return [.. frame[..12], 0x81, 0x00, 0x00, (byte)random.Next(256), .. frame[12..]];
            case 2 when frame[12] == 0x08:
                // A fragment.
                frame[20] = (byte)random.Next(0x40);
                frame[21] = (byte)random.Next(256);
                return frame;
            case 3 or 4:
                for (var flips = random.Next(1, 6); flips > 0; flips--)
                {
                    frame[random.Next(Math.Min(frame.Length, 90))] = (byte)random.Next(256);
                }
                return frame;
            case 5:
                // The lengths and offsets that a reader trusts.
                int[] trusted = frame[12] == 0x08 ? [14, 16, 17, 46] : [18, 19, 20, 55, 66];
                frame[trusted[random.Next(trusted.Length)]] = (byte)random.Next(256);
                return frame;
            case 6 when random.Next(4) == 0:
                var noise = new byte[random.Next(200)];
                random.NextBytes(noise);
                return noise;
            default:
                return frame;
        }
    }

    /// <summary>Inserts extension headers of given kinds and lengths between IPv6 and TCP.</summary>
    private static byte[] WithExtensions(byte[] frame, params (int Kind, int Length)[] headers)
    {
        byte[] extensions = [];
        var next = (byte)6;
        foreach (var (kind, length) in headers.Reverse())
        {
            var header = new byte[length];
            header[0] = next;
            header[1] = (byte)(kind == 51 ? (length / 4) - 2 : (length / 8) - 1);
            extensions = [.. header, .. extensions];
            next = (byte)kind;
        }
        byte[] result = [.. frame[..54], .. extensions, .. frame[54..]];
        result[20] = next;
        var payload = result.Length - 54;
        (result[18], result[19]) = ((byte)(payload >> 8), (byte)payload);
        return result;
    }
}
