using System.Buffers.Binary;
using Keepalive.Linux.Packets;

namespace Keepalive.Probes.Capture;

/// <summary>Tells capture files of either format from others.</summary>
internal static class CaptureFile
{
    /// <summary>Opens a capture; it owns the stream, which needs not be able to seek.</summary>
    /// <exception cref="CaptureException">It is none, or one that cannot be read.</exception>
    public static IPacketSource Open(Stream stream)
    {
        var feed = new ByteFeed(stream);
        try
        {
            return PcapFile.TryOpen(feed) ?? (IPacketSource?)PcapNgFile.TryOpen(feed) ?? throw new CaptureException(Describe(feed.Peek(4)));
        }
        catch
        {
            feed.Dispose();
            throw;
        }
    }

    public static string UnknownLink(LinkType link) =>
        $"link type {(int)link} is not known here; Ethernet (1), Linux cooked (113, 276), raw IP (101, 12, 228, 229), loopback (0, 108) and NFLOG (239) are";

    private static string Describe(ReadOnlySpan<byte> begin) => begin switch
    {
        { IsEmpty: true } => "the file is empty",
        [0x1F, 0x8B, ..] => "the file is compressed with gzip: run 'zcat FILE | keepalive-agent probes -'",
        [0x28, 0xB5, 0x2F, 0xFD] => "the file is compressed with zstd: run 'zstdcat FILE | keepalive-agent probes -'",
        { Length: < 4 } => $"the file ends after {begin.Length} bytes: it is no capture",
        _ => $"byte 0: the file begins with {BinaryPrimitives.ReadUInt32BigEndian(begin):x8}, which neither a pcap nor a pcapng file does",
    };
}
