using Keepalive.Linux.Packets;
using Keepalive.Probes.Capture;
using Xunit;

namespace Keepalive.Probes.Tests.Capture;

/// <summary>Written packets are read back unchanged.</summary>
public sealed class PcapWriterTests
{
    private static readonly byte[] s_frame = new Frame { Sequence = 1 }.ToBytes();

    [Fact]
    public void Flush_Packets_AreReadBackAsTheyWere()
    {
        var file = new MemoryStream();
        var writer = new PcapWriter(file, LinkType.Ethernet, 192);
        writer.Begin();
        (long Time, int WireLength)[] packets = [(1_700_000_000_123_456_789, s_frame.Length), (1_700_000_001_000_000_000, 1514), (uint.MaxValue * 1_000_000_000L, 60)];
        for (var i = 0; i < packets.Length; i++)
        {
            Assert.True(writer.TryAdd(new CapturedPacket(i + 1, packets[i].Time, LinkType.Ethernet, s_frame, packets[i].WireLength)));
        }
        Assert.Equal(0, writer.Packets);
        writer.Flush();

        Assert.Equal(3, writer.Packets);
        using var source = CaptureFile.Open(new MemoryStream(file.ToArray()));
        foreach (var (time, wireLength) in packets)
        {
            Assert.True(source.TryRead(out var packet));
            Assert.Equal((time, LinkType.Ethernet, wireLength), (packet.Time, packet.Link, packet.WireLength));
            Assert.Equal(s_frame, packet.Data);
        }
        Assert.False(source.TryRead(out _));
    }

    [Fact]
    public void TryAdd_BufferFull_RefusesThePacketUntilFlushed()
    {
        var file = new MemoryStream();
        var writer = new PcapWriter(file, LinkType.Ethernet, 192);
        writer.Begin();
        var begun = file.Length;
        var taken = 0;
        while (writer.TryAdd(new CapturedPacket(taken + 1, 0, LinkType.Ethernet, s_frame, s_frame.Length)))
        {
            taken++;
        }
        Assert.Equal(begun, file.Length);
        writer.Flush();

        Assert.Equal(taken, writer.Packets);
        Assert.Equal(begun + (taken * (16 + s_frame.Length)), file.Length);
        Assert.True(writer.TryAdd(new CapturedPacket(1, 0, LinkType.Ethernet, s_frame, s_frame.Length)));
    }

    /// <summary>Live captures use another number for raw IP than files (https://www.tcpdump.org/linktypes.html).</summary>
    [Theory]
    [InlineData(LinkType.RawDlt, LinkType.Raw)]
    [InlineData(LinkType.LinuxCooked2, LinkType.LinuxCooked2)]
    public void Begin_LinkType_IsThatOfFiles(LinkType live, LinkType expected)
    {
        var file = new MemoryStream();
        new PcapWriter(file, live, 192).Begin();

        Assert.Equal((int)expected, BitConverter.ToInt32(file.ToArray(), 20));
        Assert.Equal(192, BitConverter.ToInt32(file.ToArray(), 16));
    }
}
