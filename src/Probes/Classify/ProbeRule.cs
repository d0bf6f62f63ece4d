using Keepalive.Linux.Packets;

namespace Keepalive.Probes.Classify;

/// <summary>Classifies a segment whose sender's next sequence number is known.</summary>
/// <remarks>A probe repeats the last byte sent, or only its place, when all was acknowledged (RFC 9293, section 3.8.4). One that is sent because the
/// receiver's window is closed looks the same and is none (net/ipv4/tcp_output.c, tcp_xmit_probe_skb for both). PSH on an empty
/// segment means nothing, and some stacks set it on probes; on a byte it means that the byte was written.</remarks>
internal static class ProbeRule
{
    /// <summary>Whether a segment may be one, by itself.</summary>
    public static bool Allows(TcpFlags flags, int length) =>
        length <= 1 && (flags & (TcpFlags.Ack | TcpFlags.Syn | TcpFlags.Rst | TcpFlags.Fin)) == TcpFlags.Ack && (length == 0 || (flags & TcpFlags.Psh) == 0);

    /// <summary>A probe, a window probe, or neither.</summary>
    /// <param name="sequence">Of a segment that may be one.</param>
    /// <param name="length">Its payload's.</param>
    /// <param name="next">The sender's next sequence number.</param>
    /// <param name="isWindowClosed">Whether the other end's window is 0.</param>
    /// <param name="isWaiting">Whether it still waits for acknowledgements.</param>
    public static SegmentKind Of(uint sequence, int length, uint next, bool isWindowClosed, bool isWaiting)
    {
        if (isWindowClosed && (sequence + 1 == next || (length == 1 && sequence == next)))
        {
            return SegmentKind.WindowProbe;
        }
        return sequence + 1 == next && !isWaiting ? SegmentKind.Probe : SegmentKind.Other;
    }
}
