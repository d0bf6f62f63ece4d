using Keepalive.Probes.Capture;
using Keepalive.Probes.Classify;
using Keepalive.Probes.Reports;
using Xunit;

namespace Keepalive.Probes.Tests.Capture;

/// <summary>Captures truncated at every byte, and wrong lengths, from a file and from a pipe.</summary>
public sealed class CutCaptureTests
{
    /// <summary>The buffer of a feed, and slack for the report of the problem.</summary>
    private const long MaxAllocated = 1024 * 1024;

    private static readonly byte[] s_one = new Frame { Sequence = 1 }.ToBytes();
    private static readonly byte[] s_two = new Frame { Sequence = 2, Payload = new byte[3] }.ToBytes();

    public static TheoryData<string, byte[]> Whole
    {
        get
        {
            var data = new TheoryData<string, byte[]>();
            foreach (var big in (bool[])[false, true])
            {
                var order = big ? "big-endian" : "little-endian";
                data.Add($"pcap, {order}", new CaptureBytes(big).Pcap().Record(s_one).Record(s_two).ToArray());
                data.Add($"pcap in nanoseconds, {order}", new CaptureBytes(big).Pcap(nanoseconds: true).Record(s_one).Record(s_two).ToArray());
                data.Add($"pcapng, {order}", EveryBlock(big));
            }
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Whole))]
    public void Open_EveryPrefix_HasEarlierPacketsAndThePlace(string what, byte[] file)
    {
        var whole = Read(new MemoryStream(file));
        Assert.Null(whole.Problem);
        for (var length = 0; length < file.Length; length++)
        {
            var prefix = file[..length];
            var fromFile = Read(new MemoryStream(prefix));

            Assert.Equal(whole.Packets.Take(fromFile.Packets.Count), fromFile.Packets);
            // A prefix that ends between two packets or blocks is a valid capture.
            Assert.True(fromFile.Problem is null ? IsBoundary(file, length) : SaysWhere(fromFile.Problem), $"{what}, {length} bytes: {fromFile.Problem}");
            foreach (var chunk in (int[])[1, 7, int.MaxValue])
            {
                var fromPipe = Read(new PipeStream(prefix, chunk));
                Assert.Equal((length, fromFile.Problem), (length, fromPipe.Problem));
                Assert.Equal(fromFile.Packets, fromPipe.Packets);
            }
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Open_PacketBeyondTheWindowCut_ReportsItsLength(bool ng)
    {
        const int captured = 3 * ByteFeed.Window;
        var front = ng ? new CaptureBytes().Section().Interface() : new CaptureBytes().Pcap();
        var at = front.Length;
        var dataAt = at + (ng ? 28 : 16);
        var file = (ng ? front.Enhanced(new byte[captured], 0) : front.Record(new byte[captured])).ToArray();
        // Around the ends of the window, the buffer and the packet.
        foreach (var there in (int[])[0, 60, ByteFeed.Window - 29, ByteFeed.Window - 28, ByteFeed.Window - 1, ByteFeed.Window, ByteFeed.Window + 1, captured - 1])
        {
            var prefix = file[..(dataAt + there)];
            var expected = $"byte {at}: the file ends within packet 1: {there} of its {captured} captured bytes are there";
            Assert.Equal(expected, Read(new MemoryStream(prefix)).Problem);
            Assert.Equal(expected, Read(new PipeStream(prefix, int.MaxValue)).Problem);
            Assert.Equal(expected, Read(new PipeStream(prefix, 4093)).Problem);
        }
    }

    /// <summary>More than the buffer has, so that packets lie across its end, and one that is longer than the window.</summary>
    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void Open_PacketsAcrossTheEndOfTheBuffer_AreRead(bool big, bool isModified)
    {
        var random = new Random(7);
        byte[][] frames = [.. Enumerable.Range(0, 900).Select(_ => new byte[random.Next(60, 1500)]), new byte[ByteFeed.Window + 1], s_one, .. Enumerable.Range(0, 300).Select(_ => new byte[random.Next(60, 1500)])];
        Array.ForEach(frames, random.NextBytes);
        var capture = isModified ? new CaptureBytes(big).ModifiedPcap() : new CaptureBytes(big).Pcap();
        foreach (var frame in frames)
        {
            _ = isModified ? capture.ModifiedRecord(frame, onWire: 2000) : capture.Record(frame, onWire: 2000);
        }
        var file = capture.ToArray();
        Assert.InRange(file.Length, 5 * ByteFeed.Window, int.MaxValue);

        var whole = Read(new MemoryStream(file));

        Assert.Null(whole.Problem);
        Assert.Equal(frames.Select(static (frame, i) => (i + 1L, 1_000_000_000L, Front(frame), 2000)), whole.Packets);
        foreach (var length in Enumerable.Range(0, 30).Select(_ => random.Next(3 * ByteFeed.Window, file.Length)).Append(4 * ByteFeed.Window))
        {
            var fromFile = Read(new MemoryStream(file[..length]));
            var fromPipe = Read(new PipeStream(file[..length], 4093));
            Assert.Equal(whole.Packets.Take(fromFile.Packets.Count), fromFile.Packets);
            Assert.Equal(fromFile.Packets, fromPipe.Packets);
            Assert.Equal(fromFile.Problem, fromPipe.Problem);
        }
    }

    /// <summary>Taken many at a time, the packets before the damage count, and the damage is reported as by itself.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Take_DamageAmongMany_HasEarlierPacketsAndThePlace(bool ng)
    {
        const int packets = 10;
        var capture = ng ? new CaptureBytes().Section().Interface() : new CaptureBytes().Pcap();
        for (var i = 0; i < packets; i++)
        {
            _ = ng ? capture.Enhanced(s_one, (ulong)i) : capture.Record(s_one, (uint)i);
        }
        var file = capture.ToArray()[..^1];
        var expected = Read(new MemoryStream(file));
        Assert.NotNull(expected.Problem);
        foreach (var most in (int[])[1, 2, 3, packets - 1, packets, 4096])
        {
            using var source = CaptureFile.Open(new MemoryStream(file));
            var scan = new ProbeScan(new ProbeTable(Stream.Null, isSummary: true));
            var turns = 0;

            var problem = Assert.Throws<CaptureException>(() =>
            {
                for (; scan.Take(source, most); turns++)
                {
                }
            });

            Assert.Equal((expected.Packets.Count, expected.Packets.Count / most, expected.Problem), ((int)scan.Packets, turns, problem.Message));
        }
        using var undamaged = CaptureFile.Open(new MemoryStream(capture.ToArray()));
        Assert.False(new ProbeScan(new ProbeTable(Stream.Null, isSummary: true)).Take(undamaged, packets + 1));
    }

    /// <summary>Each length field of either format with a wrong value.</summary>
    public static TheoryData<string, int, bool> Lengths
    {
        get
        {
            var data = new TheoryData<string, int, bool>();
            foreach (var big in (bool[])[false, true])
            {
                data.Add("pcap: captured length", 24 + 8, big);
                data.Add("pcap: length on the wire", 24 + 12, big);
                data.Add("pcap: snap length", 16, big);
                var blocks = Blocks(EveryBlock(big), big);
                foreach (var (block, at) in blocks)
                {
                    data.Add($"pcapng: length of block {block:x}", at + 4, big);
                    data.Add($"pcapng: first word of block {block:x}", at + 8, big);
                    data.Add($"pcapng: second word of block {block:x}", at + 12, big);
                    data.Add($"pcapng: option of block {block:x}", at + 16, big);
                    data.Add($"pcapng: captured length of block {block:x}", at + 20, big);
                    data.Add($"pcapng: length on the wire of block {block:x}", at + 24, big);
                }
                data.Add("pcapng: trailer of the first section", 24, big);
            }
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Lengths))]
    public void Open_WrongLength_IsReadToItsEndInBoundedMemory(string what, int at, bool big)
    {
        var original = what.StartsWith("pcapng", StringComparison.Ordinal) ? EveryBlock(big) : new CaptureBytes(big).Pcap().Record(s_one).Record(s_two).ToArray();
        foreach (var length in (uint[])
            [0, 1, 3, 4, 8, 11, 12, 13, 16, 19, 20, 28, 31, 32, 131_071, 131_072, 131_073, 200_000, 0x10000000, 0x10000001, 0x7FFFFFF4, 0x7FFFFFFF, 0x80000000, 0xFFFFFFE0, 0xFFFFFFEC, 0xFFFFFFF0, 0xFFFFFFF4, 0xFFFFFFFC, 0xFFFFFFFF])
        {
            byte[] file = [.. original[..at], .. new CaptureBytes(big).UInt32(length).ToArray(), .. original[(at + 4)..]];
            var before = GC.GetAllocatedBytesForCurrentThread();
            var fromFile = Read(new MemoryStream(file));
            var fromPipe = Read(new PipeStream(file, 1000));
            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;

            Assert.True(allocated < 2 * MaxAllocated, $"{what} {length}: {allocated} bytes");
            Assert.True(fromFile.Problem is null || SaysWhere(fromFile.Problem), $"{what} {length}: {fromFile.Problem}");
            Assert.Equal((length, fromFile.Problem), (length, fromPipe.Problem));
        }
    }

    private static byte[] EveryBlock(bool big) =>
    [
        .. new CaptureBytes(big).Section().Interface(resolution: 9).Enhanced(s_one, 1).Simple(s_two).Obsolete(s_one, 2)
            .Block(4, body => body.UInt16(1).UInt16(8).Bytes("\x0a\0\0\x01web\0"u8).UInt32(0))          // name resolution
            .Block(5, body => body.UInt32(0).UInt32(0).UInt32(0).UInt16(4).UInt16(8).UInt32(0).UInt32(0).UInt32(0))   // interface statistics
            .Block(10, body => body.UInt32(0x544C534B).UInt32(3).Bytes([1, 2, 3, 0]))                                // decryption secrets
            .Block(0x0BAD, body => body.UInt32(1))                                                                   // custom
            .ToArray(),
        // A section in the other byte order.
        .. new CaptureBytes(!big).Section().Interface(snapLength: 60).Simple(s_two).ToArray(),
    ];

    private static List<(uint Type, int At)> Blocks(byte[] file, bool big)
    {
        var blocks = new List<(uint, int)>();
        for (var at = 0; at < file.Length && blocks.Count < 9;)
        {
            blocks.Add((Word(file, at, big), at));
            at += (int)Word(file, at + 4, big);
        }
        return blocks;
    }

    private static uint Word(byte[] file, int at, bool big) => big
        ? System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(file.AsSpan(at))
        : System.Buffers.Binary.BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(at));

    /// <summary>Whether a packet or block ends there: the same bytes and one more are damaged.</summary>
    private static bool IsBoundary(byte[] file, int length) => Read(new MemoryStream(file[..(length + 1)])).Problem is not null;

    private static bool SaysWhere(string problem) =>
        problem.StartsWith("byte ", StringComparison.Ordinal) || problem == "the file is empty" || problem.StartsWith("the file ends after ", StringComparison.Ordinal);

    private static string Front(ReadOnlySpan<byte> packet) => Convert.ToHexString(packet[..Math.Min(packet.Length, 2 * s_two.Length)]);

    private static (List<(long Number, long Time, string Bytes, int OnWire)> Packets, string? Problem) Read(Stream stream)
    {
        var packets = new List<(long, long, string, int)>();
        try
        {
            using var source = CaptureFile.Open(stream);
            while (source.TryRead(out var packet))
            {
                packets.Add((packet.Number, packet.Time, Front(packet.Data), packet.WireLength));
            }
            return (packets, (source as PcapNgFile)?.FirstUnknown);
        }
        catch (CaptureException e)
        {
            return (packets, e.Message);
        }
    }
}
