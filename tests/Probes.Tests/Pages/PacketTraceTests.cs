using Keepalive.Probes.Pages;
using Xunit;

namespace Keepalive.Probes.Tests.Pages;

/// <summary>The packets that are kept of a long connection.</summary>
public sealed class PacketTraceTests
{
    [Fact]
    public void ToList_FewPackets_HasAllInTheirOrder()
    {
        var trace = Filled(150, _ => PacketKind.Data);

        Assert.Equal(Enumerable.Range(1, 150).Select(number => (long)number), trace.ToList().Select(packet => packet.Frame));
    }

    [Fact]
    public void ToList_ManyPackets_HasFirstLastAndTheTroubleBetween()
    {
        var trace = Filled(100_000, frame => frame is 50_000 or 60_000 ? PacketKind.Reset : frame % 2 == 0 ? PacketKind.Probe : PacketKind.Data);

        var frames = trace.ToList().Select(packet => packet.Frame).ToList();
        Assert.Equal(100_000, trace.Count);
        Assert.InRange(frames.Count, 200, PacketTrace.Limit);
        Assert.Equal(frames.Order(), frames);
        Assert.Equal(1, frames[0]);
        Assert.Equal(100_000, frames[^1]);
        Assert.Contains(50_000, frames);
        Assert.Contains(60_000, frames);
    }

    [Fact]
    public void ToList_NothingButTrouble_IsBounded() => Assert.Equal(PacketTrace.Limit - 32, Filled(100_000, _ => PacketKind.Reset).ToList().Count);

    [Theory]
    [InlineData(3)]
    [InlineData(990)]
    public void Recognise_KeptPacket_HasTheNewKind(long frame)
    {
        var trace = Filled(1_000, _ => PacketKind.Acknowledgement);

        trace.Recognise(frame, PacketKind.Probe);
        trace.Recognise(500, PacketKind.Probe);

        Assert.Equal([frame], trace.ToList().Where(packet => packet.Kind == PacketKind.Probe).Select(packet => packet.Frame));
    }

    private static PacketTrace Filled(int count, Func<long, PacketKind> kind)
    {
        var trace = new PacketTrace();
        for (var frame = 1; frame <= count; frame++)
        {
            trace.Add(new ReportPacket { Frame = frame, Ordinal = frame - 1, Kind = kind(frame) });
        }
        return trace;
    }
}
