using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Sockets;

/// <summary>The kernel's view of one of this program's own TCP sockets (TCP_INFO).</summary>
/// <param name="State">TCP state.</param>
/// <param name="UnansweredProbes">Keepalive probes without an answer.</param>
/// <param name="IsAcknowledged">Whether no payload is on its way.</param>
/// <param name="Retransmissions">Segments sent again since the socket was opened, SYNs among them.</param>
/// <param name="SinceAcknowledgement">Time since an acknowledgement was received. Another host's keepalive probe is none.</param>
/// <param name="RoundTrip">Smoothed round-trip time.</param>
/// <param name="Received">Bytes of payload received.</param>
/// <param name="SegmentsReceived">Segments received, those without payload among them.</param>
public readonly record struct TcpInfo(
    TcpState State,
    int UnansweredProbes,
    bool IsAcknowledged,
    int Retransmissions,
    TimeSpan SinceAcknowledgement,
    TimeSpan RoundTrip,
    ulong Received,
    uint SegmentsReceived)
{
    /// <summary>Reads it.</summary>
    /// <exception cref="NotSupportedException">The kernel is older than 4.6.</exception>
    public static TcpInfo Read(Socket socket)
    {
        Span<byte> bytes = stackalloc byte[Unsafe.SizeOf<LinuxInetDiag.tcp_info>()];
        if (socket.GetRawSocketOption(SysSocket.IPPROTO_TCP, SysSocket.TCP_INFO, bytes) < bytes.Length)
        {
            throw new NotSupportedException("TCP_INFO is too short: Linux 4.6 is needed");
        }
        var info = MemoryMarshal.Read<LinuxInetDiag.tcp_info>(bytes);
        return new TcpInfo(
            (TcpState)info.tcpi_state,
            info.tcpi_probes,
            info.tcpi_unacked == 0 && info.tcpi_notsent_bytes == 0,
            (int)info.tcpi_total_retrans,
            TimeSpan.FromMilliseconds(info.tcpi_last_ack_recv),
            TimeSpan.FromMicroseconds(info.tcpi_rtt),
            info.tcpi_bytes_received,
            info.tcpi_segs_in);
    }
}
