using System.Net.Sockets;

namespace Keepalive.Simulator.Discover;

/// <summary>What the kernel knows of one of this program's own sockets: part of struct tcp_info (linux/tcp.h).</summary>
/// <param name="State">TCP state (include/net/tcp_states.h).</param>
/// <param name="UnansweredProbes">Keepalive probes without an answer.</param>
/// <param name="SinceAcknowledgement">Time since an acknowledgement was received. Another host's keepalive probe is none.</param>
/// <param name="RoundTrip">Smoothed round-trip time.</param>
/// <param name="Received">Bytes of payload received.</param>
/// <param name="SegmentsReceived">Segments received, those without payload among them.</param>
internal readonly record struct TcpInfo(
    byte State, int UnansweredProbes, TimeSpan SinceAcknowledgement, TimeSpan RoundTrip, ulong Received, uint SegmentsReceived)
{
    public const byte Established = 1;
    public const byte SynSent = 2;
    public const byte Closed = 7;
    public const byte CloseWait = 8;

    private const int Tcp = 6;
    private const int Info = 11;

    /// <summary>Up to tcpi_segs_in, which all kernels since 4.6 have.</summary>
    private const int Size = 144;

    public static TcpInfo Read(Socket socket)
    {
        Span<byte> info = stackalloc byte[Size];
        if (socket.GetRawSocketOption(Tcp, Info, info) < Size)
        {
            throw new NotSupportedException("TCP_INFO is too short: Linux 4.6 is needed");
        }
        return new TcpInfo(
            info[0],
            info[3],
            TimeSpan.FromMilliseconds(BitConverter.ToUInt32(info[56..])),
            TimeSpan.FromMicroseconds(BitConverter.ToUInt32(info[68..])),
            BitConverter.ToUInt64(info[128..]),
            BitConverter.ToUInt32(info[140..]));
    }
}
