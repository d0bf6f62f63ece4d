using Keepalive.Linux.Packets;
using Keepalive.Probes.Capture;
using Xunit;

namespace Keepalive.Probes.Tests.Capture;

/// <summary>Files of both formats, and the messages for damaged ones.</summary>
public sealed class CaptureFileTests
{
    private static readonly byte[] s_one = new Frame { Sequence = 1 }.ToBytes();
    private static readonly byte[] s_two = new Frame { Sequence = 2 }.ToBytes();

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void Pcap_EitherOrderAndResolution_IsRead(bool big, bool nanoseconds)
    {
        var file = new CaptureBytes(big).Pcap(nanoseconds: nanoseconds).Record(s_one, 5, 600).Record(s_two, 0xFFFFFFFF, 7, onWire: 1500);

        Assert.Equal(
            [(1, (5_000_000 * 1000L) + (600 * (nanoseconds ? 1 : 1000)), s_one.Length, s_one.Length), (2, (0xFFFFFFFFL * 1_000_000_000) + (7 * (nanoseconds ? 1 : 1000)), s_two.Length, 1500)],
            Read(file).Packets);
    }

    [Fact]
    public void PcapNg_SectionsInterfacesAndBlocksOfAllKinds_AreRead()
    {
        var little = new CaptureBytes().Section().Block(0x0BAD, body => body.UInt32(1)).Interface().Interface(resolution: 9).Interface(resolution: 0x80 | 10)
            .Enhanced(s_one, 2_000_001).Enhanced(s_one, 2_000_001, index: 1).Enhanced(s_one, 3 << 10, index: 2).Obsolete(s_two, 4_000_000).Simple(s_two);
        var big = new CaptureBytes(big: true).Section().Interface(LinkType.Raw).Enhanced(s_one, 6_000_000);

        Assert.Equal(
            [(1, 2_000_001_000L), (2, 2_000_001L), (3, 3_000_000_000L), (4, 4_000_000_000L), (5, CapturedPacket.NoTime), (6, 6_000_000_000L)],
            Read(new CaptureBytes().Bytes(little.ToArray()).Bytes(big.ToArray())).Packets.Select(packet => (packet.Number, packet.Time)));
    }

    [Fact]
    public void PcapNg_PacketLongerThanTheWindow_HasItsFrontAndTheNextOneIsFound()
    {
        byte[] large = [.. s_one, .. new byte[ByteFeed.Window * 3]];
        foreach (var file in new[] { new CaptureBytes().Section().Interface().Enhanced(large, 0).Enhanced(s_two, 0), new CaptureBytes().Pcap().Record(large).Record(s_two) })
        {
            var packets = Read(file).Packets;
            Assert.Equal(2, packets.Count);
            Assert.InRange(packets[0].Captured, ByteFeed.Window - 20, ByteFeed.Window);
            Assert.Equal((2, s_two.Length), (packets[1].Number, packets[1].Captured));
        }
    }

    public static TheoryData<string, byte[], int, string> Damaged => new()
    {
        { "empty", [], 0, "the file is empty" },
        { "three bytes", [1, 2, 3], 0, "the file ends after 3 bytes" },
        { "text", "hello, world"u8.ToArray(), 0, "byte 0: the file begins with 68656c6c" },
        { "gzip", [0x1F, 0x8B, 8, 0, 0], 0, "compressed with gzip" },
        { "pcap header cut", new CaptureBytes().Pcap().ToArray()[..20], 0, "the file ends after 20 bytes" },
        { "pcap version", new CaptureBytes().UInt32(0xA1B2C3D4).UInt16(3).UInt16(0).Bytes(new byte[16]).ToArray(), 0, "byte 4: version 3.0" },
        { "pcap link type", new CaptureBytes().Pcap((LinkType)127).ToArray(), 0, "byte 20: link type 127" },
        { "record header cut", [.. new CaptureBytes().Pcap().Record(s_one).ToArray(), 1, 2], 1, "byte 94: the file ends within the header of packet 2" },
        { "modified header cut", [.. new CaptureBytes().ModifiedPcap().ModifiedRecord(s_one).ToArray(), .. new byte[20]], 1, "byte 102: the file ends within the header of packet 2" },
        { "packet cut", new CaptureBytes().Pcap().Record(s_one).Record(s_two).ToArray()[..^10], 1, "byte 94: the file ends within packet 2: 44 of its 54" },
        { "packet too long", new CaptureBytes().Pcap().Record(s_one).Record(s_two, captured: 0xFFFFFFF0).ToArray(), 1, "byte 102: packet 2 claims to have 4294967280" },
        { "block cut", new CaptureBytes().Section().Interface().Enhanced(s_one, 0).Enhanced(s_two, 0).ToArray()[..^30], 1, "byte 136: the file ends within packet 2: 30 of its 54" },
        // Only the front of such a long packet is read, and the rest is skipped.
        { "long packet cut", new CaptureBytes().Pcap().Record(s_one).Record(new byte[300_000]).ToArray()[..^1], 1, "byte 94: the file ends within packet 2: 299999 of its 300000" },
        { "long block cut", new CaptureBytes().Section().Interface().Enhanced(s_one, 0).Enhanced(new byte[300_000], 0).ToArray()[..^30], 1, "byte 136: the file ends within packet 2: 299974 of its 300000" },
        { "block head cut", [.. new CaptureBytes().Section().Interface().Enhanced(s_one, 0).ToArray(), 6, 0, 0], 1, "byte 136: the file ends within the head of block 4" },
        { "block of 4 GB", [.. new CaptureBytes().Section().UInt32(0x0BAD).UInt32(0xFFFFFFF0).Bytes(new byte[100]).ToArray()], 0, "byte 28: the file ends within block 2, which claims to be 4294967280 bytes" },
        { "block of 3 bytes", [.. new CaptureBytes().Section().UInt32(0x0BAD).UInt32(3).UInt32(3).ToArray()], 0, "byte 32: block 2 claims to be 3 bytes long" },
        { "trailer", new CaptureBytes().Section().Interface().Enhanced(s_one, 0).ToArray() is var bytes ? [.. bytes[..^4], 1, 0, 0, 0, .. new byte[12]] : [], 1, "byte 132: block 3 begins as 88 bytes and ends as 1" },
        { "no magic", new CaptureBytes().Block(0x0A0D0D0A, body => body.Bytes(new byte[16])).ToArray(), 0, "byte 8: block 1 begins a section without" },
        { "no interface", new CaptureBytes().Section().Enhanced(s_one, 0).ToArray(), 0, "packet 1 is of interface 0" },
        { "too long for its block", new CaptureBytes().Section().Interface().Enhanced(s_one, 0, captured: 500).ToArray(), 0, "packet 1 claims 500" },
    };

    [Theory]
    [MemberData(nameof(Damaged))]
    public void Open_DamagedFile_HasEarlierPacketsAndThePlace(string what, byte[] file, int before, string expected)
    {
        var (packets, problem) = Read(file);

        Assert.Equal((what, before), (what, packets.Count));
        Assert.Contains(expected, problem, StringComparison.Ordinal);
    }

    [Fact]
    public void PcapNg_UnknownLinkType_IsSkippedAndCounted()
    {
        var file = new CaptureBytes().Section().Interface((LinkType)127).Interface().Enhanced(s_one, 0).Enhanced(s_two, 0, index: 1);
        using var source = CaptureFile.Open(new MemoryStream(file.ToArray()));

        Assert.True(source.TryRead(out var packet));
        Assert.Equal(2, packet.Number);
        Assert.False(source.TryRead(out _));
        var other = Assert.IsType<PcapNgFile>(source);
        Assert.Equal(1, other.Unknown);
        Assert.Contains("byte 68: packet 1: link type 127", other.FirstUnknown, StringComparison.Ordinal);
    }

    private static (List<(long Number, long Time, int Captured, int OnWire)> Packets, string? Problem) Read(CaptureBytes file)
    {
        var result = Read(file.ToArray());
        Assert.Null(result.Problem);
        return result;
    }

    private static (List<(long Number, long Time, int Captured, int OnWire)> Packets, string? Problem) Read(byte[] file)
    {
        var packets = new List<(long, long, int, int)>();
        try
        {
            using var source = CaptureFile.Open(new MemoryStream(file));
            while (source.TryRead(out var packet))
            {
                packets.Add((packet.Number, packet.Time, packet.Data.Length, packet.WireLength));
            }
            return (packets, null);
        }
        catch (CaptureException e)
        {
            return (packets, e.Message);
        }
    }
}
