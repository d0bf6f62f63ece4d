using Keepalive.Linux.Packets;
using Keepalive.Probes.Capture;
using SharpPcap;
using SharpPcap.LibPcap;
using Xunit;

namespace Keepalive.Probes.Tests.Capture;

/// <summary>Compares the readers of capture files with libpcap's, through SharpPcap: both must read the same from random valid
/// files.</summary>
public sealed class OracleTests : IDisposable
{
    private readonly string _file = Path.GetTempFileName();

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void Pcap_RandomFile_IsReadAsLibpcapReadsIt(bool big, bool nanoseconds)
    {
        var random = new Random(5);
        foreach (var link in new[] { LinkType.Ethernet, LinkType.Raw, LinkType.LinuxCooked, LinkType.LinuxCooked2, LinkType.Loop, LinkType.Null })
        {
            var file = new CaptureBytes(big).Pcap(link, nanoseconds);
            for (var i = 0; i < 200; i++)
            {
                var frame = Bytes(random);
                file.Record(frame, (uint)random.Next(), (uint)random.Next(nanoseconds ? 1_000_000_000 : 1_000_000), onWire: (uint)(frame.Length + random.Next(3) * 1000));
            }
            Compare(file, 200);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void ModifiedPcap_RandomFile_IsReadAsLibpcapReadsIt(bool big)
    {
        var random = new Random(7);
        var file = new CaptureBytes(big).ModifiedPcap();
        for (var i = 0; i < 200; i++)
        {
            var frame = Bytes(random);
            file.ModifiedRecord(frame, (uint)random.Next(), (uint)random.Next(1_000_000), onWire: (uint)(frame.Length + (random.Next(3) * 1000)));
        }
        Compare(file, 200);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void PcapNg_RandomFile_IsReadAsLibpcapReadsIt(bool big)
    {
        var random = new Random(6);
        // libpcap accepts interfaces of one link type only.
        var file = new CaptureBytes(big).Section().Interface().Interface(resolution: 9).Interface(resolution: 0x80 | 10).Interface(resolution: 3);
        for (var i = 0; i < 500; i++)
        {
            var frame = Bytes(random);
            var time = (ulong)random.NextInt64(1L << 62);
            switch (random.Next(8))
            {
                case 0:
                    file.Obsolete(frame, time / 1000);
                    break;
                case 1:
                    file.Block(0x0BAD, body => body.Bytes(new byte[4 * random.Next(20)]));
                    i--;
                    break;
                default:
                    // The same time in the units of each of the four interfaces.
                    ulong[] ticks = [time / 1000, time, time / 1_000_000_000 * 1024, time / 1_000_000];
                    var index = random.Next(ticks.Length);
                    file.Enhanced(frame, ticks[index] + (ulong)random.Next(1000), (uint)index);
                    break;
            }
        }
        Compare(file, 500);
    }

    public void Dispose() => File.Delete(_file);

    private static byte[] Bytes(Random random)
    {
        var bytes = new byte[random.Next(1, 200)];
        random.NextBytes(bytes);
        return bytes;
    }

    /// <summary>libpcap replaces the number for raw IP in files by the one of live captures.</summary>
    private static LinkType OfFile(PcapDevice device) => (LinkType)device.LinkType == LinkType.RawDlt ? LinkType.Raw : (LinkType)device.LinkType;

    private void Compare(CaptureBytes written, int expected)
    {
        File.WriteAllBytes(_file, written.ToArray());
        using var ours = CaptureFile.Open(new MemoryStream(written.ToArray()));
        using var theirs = new CaptureFileReaderDevice(_file);
        theirs.Open(new DeviceConfiguration { TimestampResolution = TimestampResolution.Nanosecond });
        for (var i = 1; i <= expected; i++)
        {
            Assert.True(ours.TryRead(out var packet), $"packet {i} is missing");
            Assert.Equal(GetPacketStatus.PacketRead, theirs.GetNextPacket(out var other));
            Assert.Equal(
                (i, OfFile(theirs), (long)(other.Header.Timeval.Value * 1_000_000_000), ((PcapHeader)other.Header).PacketLength),
                (packet.Number, packet.Link, packet.Time, (uint)packet.WireLength));
            Assert.Equal(other.Data, packet.Data);
        }
        Assert.False(ours.TryRead(out _));
        Assert.Equal(GetPacketStatus.NoRemainingPackets, theirs.GetNextPacket(out _));
    }
}
