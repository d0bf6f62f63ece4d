using System.Buffers.Binary;
using Keepalive.Linux.Packets;

namespace Keepalive.Simulator.Lab;

/// <summary>Control bits in words.</summary>
internal static class TcpFlagsNames
{
    private static readonly (TcpFlags Flag, string Name)[] s_names =
        [(TcpFlags.Syn, "SYN"), (TcpFlags.Fin, "FIN"), (TcpFlags.Rst, "RST"), (TcpFlags.Psh, "PSH"), (TcpFlags.Ack, "ACK"), (TcpFlags.Urg, "URG")];

    /// <summary><c>SYN,ACK</c>: as Wireshark writes them.</summary>
    public static string Text(this TcpFlags flags) => string.Join(',', s_names.Where(entry => (flags & entry.Flag) != 0).Select(entry => entry.Name));
}

/// <summary>An Ethernet frame with a whole TCP segment over IPv4 or IPv6, looked at in place.</summary>
/// <remarks>Everything else is not one: tagged and truncated frames, fragments, other protocols. No bytes make <see cref="TryParse"/> throw.</remarks>
internal readonly ref struct TcpFrame
{
    public const int EthernetHeader = 14;
    public const int IPv4Header = 20;
    public const int IPv6Header = 40;
    public const int TcpHeader = 20;
    public const ushort IPv4 = 0x0800;
    public const ushort IPv6 = 0x86dd;
    public const byte Tcp = 6;

    /// <summary>The timestamps option as every stack writes it: two NOPs in front of kind 8, length 10 (RFC 7323, appendix A).</summary>
    public const uint TimestampsHead = 0x0101080a;

    private const byte HopByHop = 0;
    private const byte Routing = 43;
    private const byte Authentication = 51;
    private const byte DestinationOptions = 60;

    private readonly ReadOnlySpan<byte> _frame;
    private readonly int _tcp;

    private TcpFrame(ReadOnlySpan<byte> frame, int tcp, int end)
    {
        _frame = frame;
        _tcp = tcp;
        PayloadLength = end - tcp - ((frame[tcp + 12] >> 4) * 4);
    }

    public bool IsIPv6 => BinaryPrimitives.ReadUInt16BigEndian(_frame[12..]) == IPv6;

    /// <summary>The hardware address it was sent from, the lower 48 bits.</summary>
    public ulong SourceHardware => Hardware(_frame[6..]);

    public ulong DestinationHardware => Hardware(_frame);

    public ReadOnlySpan<byte> SourceAddress => IsIPv6 ? _frame.Slice(EthernetHeader + 8, 16) : _frame.Slice(EthernetHeader + 12, 4);

    public ReadOnlySpan<byte> DestinationAddress => IsIPv6 ? _frame.Slice(EthernetHeader + 24, 16) : _frame.Slice(EthernetHeader + 16, 4);

    public ushort SourcePort => BinaryPrimitives.ReadUInt16BigEndian(_frame[_tcp..]);

    public ushort DestinationPort => BinaryPrimitives.ReadUInt16BigEndian(_frame[(_tcp + 2)..]);

    public uint Sequence => BinaryPrimitives.ReadUInt32BigEndian(_frame[(_tcp + 4)..]);

    public uint Acknowledgment => BinaryPrimitives.ReadUInt32BigEndian(_frame[(_tcp + 8)..]);

    public TcpFlags Flags => (TcpFlags)_frame[_tcp + 13];

    /// <summary>As it stands there, not scaled.</summary>
    public ushort Window => BinaryPrimitives.ReadUInt16BigEndian(_frame[(_tcp + 14)..]);

    public int PayloadLength { get; }

    public ReadOnlySpan<byte> Payload => _frame.Slice(_tcp + HeaderLength, PayloadLength);

    /// <summary>Its length in the sequence space: payload, SYN and FIN.</summary>
    public uint SequenceLength => (uint)PayloadLength + (Has(TcpFlags.Syn) ? 1u : 0u) + (Has(TcpFlags.Fin) ? 1u : 0u);

    /// <summary>The sequence number after it.</summary>
    public uint SequenceEnd => Sequence + SequenceLength;

    public bool Has(TcpFlags flags) => (Flags & flags) == flags;

    /// <summary>TSval (RFC 7323), where the option is there.</summary>
    public bool TryGetTimestamp(out uint value)
    {
        var options = _frame.Slice(_tcp + TcpHeader, HeaderLength - TcpHeader);
        value = 0;
        while (options.Length >= 2)
        {
            var kind = options[0];
            if (kind == 0)
            {
                return false;
            }
            if (kind == 1)
            {
                options = options[1..];
                continue;
            }
            var length = options[1];
            if (length < 2 || length > options.Length)
            {
                return false;
            }
            if (kind == 8 && length == 10)
            {
                value = BinaryPrimitives.ReadUInt32BigEndian(options[2..]);
                return true;
            }
            options = options[length..];
        }
        return false;
    }

    public static bool TryParse(ReadOnlySpan<byte> frame, out TcpFrame segment)
    {
        segment = default;
        if (frame.Length < EthernetHeader + IPv4Header + TcpHeader)
        {
            return false;
        }
        return BinaryPrimitives.ReadUInt16BigEndian(frame[12..]) switch
        {
            IPv4 => TryParseIPv4(frame, ref segment),
            IPv6 => TryParseIPv6(frame, ref segment),
            _ => false,
        };
    }

    private static ulong Hardware(ReadOnlySpan<byte> address) =>
        ((ulong)BinaryPrimitives.ReadUInt16BigEndian(address) << 32) | BinaryPrimitives.ReadUInt32BigEndian(address[2..]);

    private int HeaderLength => (_frame[_tcp + 12] >> 4) * 4;

    private static bool TryParseIPv4(ReadOnlySpan<byte> frame, ref TcpFrame segment)
    {
        const int moreFragmentsOrOffset = 0x3fff;
        var ip = frame[EthernetHeader..];
        var header = (ip[0] & 0xf) * 4;
        var total = BinaryPrimitives.ReadUInt16BigEndian(ip[2..]);
        return ip[0] >> 4 == 4
            && header >= IPv4Header
            && ip[9] == Tcp
            && (BinaryPrimitives.ReadUInt16BigEndian(ip[6..]) & moreFragmentsOrOffset) == 0
            && total <= ip.Length
            && TryParseTcp(frame, EthernetHeader + header, EthernetHeader + total, ref segment);
    }

    private static bool TryParseIPv6(ReadOnlySpan<byte> frame, ref TcpFrame segment)
    {
        var ip = frame[EthernetHeader..];
        if (ip.Length < IPv6Header || ip[0] >> 4 != 6)
        {
            return false;
        }
        var end = IPv6Header + BinaryPrimitives.ReadUInt16BigEndian(ip[4..]);
        var next = ip[6];
        var at = IPv6Header;
        while (next is HopByHop or Routing or DestinationOptions or Authentication)
        {
            if (at + 8 > ip.Length)
            {
                return false;
            }
            var length = next == Authentication ? (ip[at + 1] + 2) * 4 : (ip[at + 1] + 1) * 8;
            next = ip[at];
            at += length;
        }
        return next == Tcp && end <= ip.Length && TryParseTcp(frame, EthernetHeader + at, EthernetHeader + end, ref segment);
    }

    private static bool TryParseTcp(ReadOnlySpan<byte> frame, int tcp, int end, ref TcpFrame segment)
    {
        if (tcp + TcpHeader > end)
        {
            return false;
        }
        var header = (frame[tcp + 12] >> 4) * 4;
        if (header < TcpHeader || tcp + header > end)
        {
            return false;
        }
        segment = new TcpFrame(frame, tcp, end);
        return true;
    }
}
