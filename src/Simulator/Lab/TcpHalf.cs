using Keepalive.Linux.Packets;
using static Keepalive.Probes.Classify.SequenceNumber;

namespace Keepalive.Simulator.Lab;

/// <summary>The observed state of one end of a connection.</summary>
internal struct TcpHalf
{
    /// <summary>Whether it has sent anything.</summary>
    public bool HasSent;

    /// <summary>The sequence number after the last byte that was forwarded from it.</summary>
    public uint Next;

    /// <summary>When <see cref="Next"/> last moved.</summary>
    public TimeSpan Moved;

    /// <summary>Whether it has acknowledged anything.</summary>
    public bool HasAcknowledged;

    /// <summary>The highest acknowledgment number it has sent: what it expects next.</summary>
    public uint Acknowledged;

    /// <summary>The last window it announced, not scaled.</summary>
    public ushort Window;

    /// <summary>Whether it sends timestamps (RFC 7323).</summary>
    public bool HasTimestamps;

    /// <summary>Its last TSval.</summary>
    public uint Timestamp;

    /// <summary>Whether its FIN was forwarded.</summary>
    public bool HasFinished;

    /// <summary>Whether a keepalive probe of it has not been answered yet.</summary>
    public bool ProbePending;

    /// <summary>The hardware address it sends from, the lower 48 bits.</summary>
    public ulong Hardware;

    /// <summary>Takes in a segment of this end.</summary>
    /// <param name="segment">It.</param>
    /// <param name="passes">Whether the other end gets it.</param>
    /// <param name="now">The time.</param>
    public void Sent(in TcpFrame segment, bool passes, TimeSpan now)
    {
        Hardware = segment.SourceHardware;
        if (segment.Has(TcpFlags.Ack) && (!HasAcknowledged || IsAfter(segment.Acknowledgment, Acknowledged)))
        {
            Acknowledged = segment.Acknowledgment;
            HasAcknowledged = true;
        }
        Window = segment.Window;
        if (segment.TryGetTimestamp(out var timestamp))
        {
            HasTimestamps = true;
            Timestamp = timestamp;
        }
        // A reset takes no sequence numbers, and one with a wrong number would leave a wrong one here.
        if (passes && Moves(segment) && !segment.Has(TcpFlags.Rst))
        {
            Next = segment.SequenceEnd;
            Moved = now;
            HasSent = true;
        }
        HasFinished |= passes && segment.Has(TcpFlags.Fin);
    }

    /// <summary>The other end has acknowledged what it sent.</summary>
    /// <remarks>The first packet seen in mid-connection may be a keepalive probe, whose number is one below the next.</remarks>
    public void WasAcknowledged(uint acknowledgment)
    {
        if (HasSent && IsAfter(acknowledgment, Next))
        {
            Next = acknowledgment;
        }
    }

    /// <summary>Whether a segment goes beyond what this end has sent so far.</summary>
    public readonly bool Moves(in TcpFrame segment) => !HasSent || IsAfter(segment.SequenceEnd, Next);
}
