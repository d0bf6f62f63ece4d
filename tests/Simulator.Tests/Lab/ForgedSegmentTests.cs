using Keepalive.Linux.Packets;
using Keepalive.Simulator.Balancing;
using Keepalive.Simulator.Lab;
using Xunit;

namespace Keepalive.Simulator.Tests.Lab;

public sealed class ForgedSegmentTests
{
    private static readonly TimeSpan s_now = TimeSpan.FromSeconds(1);

    [Theory]
    [InlineData(false, false, "client")]
    [InlineData(false, false, "server")]
    [InlineData(false, true, "client")]
    [InlineData(false, true, "server")]
    [InlineData(true, false, "client")]
    [InlineData(true, false, "server")]
    [InlineData(true, true, "client")]
    [InlineData(true, true, "server")]
    public void Write_AnyConnection_HasCorrectChecksumsAndTheOtherEndsAddresses(bool isIPv6, bool hasTimestamps, string receiverName)
    {
        var to = receiverName == "client" ? FlowEnd.Client : FlowEnd.Server;
        var random = new Random(7);
        for (var i = 0; i < 2_000; i++)
        {
            var port = random.Next(1, 65536);
            var seen = new Segment(FlowEnd.Client, TcpFlags.Ack, Next(), Next())
            {
                IsIPv6 = isIPv6,
                ClientPort = port,
                ServerPort = random.Next(1, 65536),
                ClientNumber = random.Next(1, 9999),
                Window = (ushort)random.Next(65536),
                Timestamps = hasTimestamps ? (Next(), Next()) : null,
            };
            var answer = seen with { From = FlowEnd.Server, Timestamps = hasTimestamps ? (Next(), Next()) : null };
            var flow = See(seen, answer);
            var (sequence, acknowledgment) = (Next(), Next());
            var flags = random.Next(2) == 0 ? TcpFlags.Fin | TcpFlags.Ack : TcpFlags.Rst;

            var frame = ForgedSegment.Write(new byte[ForgedSegment.MaxLength], flow, to, flags, sequence, acknowledgment).ToArray();

            var (sender, receiver) = to == FlowEnd.Client ? (answer, seen) : (seen, answer);
            Assert.True(Frames.HasCorrectChecksums(frame), Convert.ToHexString(frame));
            Assert.True(Frames.IsWholeSegment(frame));
            Assert.Equal(sender.ToFrame()[..14], frame[..14]);
            Assert.Equal(Addresses(sender.ToFrame(), isIPv6), Addresses(frame, isIPv6));
            Assert.Equal(
                sender with
                {
                    Flags = flags,
                    Sequence = sequence,
                    Acknowledgment = acknowledgment,
                    Window = flags == TcpFlags.Rst ? (ushort)0 : sender.Window,
                    ClientNumber = 1,
                    // Continues the sender's timestamps and echoes the receiver's: PAWS (RFC 7323, section 5) accepts it.
                    Timestamps = hasTimestamps ? (sender.Timestamps!.Value.Value, receiver.Timestamps!.Value.Value) : null,
                    Client = Segment.ClientHardware,
                },
                Segment.Read(frame));
        }

        uint Next() => (uint)random.NextInt64(1L << 32);
    }

    [Fact]
    public void Write_OnlyOneEndSendsTimestamps_HasNone()
    {
        var seen = new Segment(FlowEnd.Client, TcpFlags.Ack, 1, 1) { Timestamps = (5, 6) };
        var flow = See(seen, seen with { From = FlowEnd.Server, Timestamps = null });

        var frame = ForgedSegment.Write(new byte[ForgedSegment.MaxLength], flow, FlowEnd.Client, TcpFlags.Rst, 1, 0);

        Assert.Null(Segment.Read(frame).Timestamps);
        Assert.True(Frames.HasCorrectChecksums(frame));
    }

    private static byte[] Addresses(byte[] frame, bool isIPv6) => isIPv6 ? frame[22..58] : frame[26..38];

    private static LabFlow See(params Segment[] segments)
    {
        LabFlow? flow = null;
        foreach (var segment in segments)
        {
            Assert.True(TcpFrame.TryParse(segment.ToFrame(), out var parsed));
            flow ??= new LabFlow(LabFlowKey.Of(parsed, segment.From));
            flow.See(parsed, segment.From, passes: true, s_now);
        }
        return flow!;
    }
}
