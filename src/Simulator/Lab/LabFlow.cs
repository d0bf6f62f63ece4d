using Keepalive.Linux.Packets;
using Keepalive.Simulator.Balancing;

namespace Keepalive.Simulator.Lab;

/// <summary>A connection in the balancer's table.</summary>
internal sealed class LabFlow
{
    /// <summary>
    /// The longest an end may take to acknowledge what it got: delayed acknowledgments wait 200 ms at most on Linux, 500 ms at most by RFC 9293
    /// (section 3.8.6.3).
    /// </summary>
    private static readonly TimeSpan s_delayedAcknowledgment = TimeSpan.FromMilliseconds(500);

    private FlowClock _clock;
    private TcpHalf _client;
    private TcpHalf _server;

    public LabFlow(LabFlowKey key)
    {
        Key = key;
        Node = new LinkedListNode<LabFlow>(this);
        ServerNode = new LinkedListNode<LabFlow>(this);
    }

    public LabFlowKey Key { get; }

    /// <summary>Its place among those of its phase, by age; with one clock per end, by the client's.</summary>
    public LinkedListNode<LabFlow> Node { get; }

    /// <summary>With one clock per end, its place by the server's.</summary>
    public LinkedListNode<LabFlow> ServerNode { get; }

    public ref FlowClock Clock => ref _clock;

    public FlowEnd OpenedBy { get; set; }

    /// <summary>Whether its opening was acknowledged, and told.</summary>
    public bool IsEstablished { get; set; }

    /// <summary>When its last packet came, whatever became of it; or when it expired.</summary>
    public TimeSpan LastSeen { get; set; }

    /// <summary>When it expired.</summary>
    public TimeSpan ExpiredAt { get; set; }

    public ref TcpHalf Half(FlowEnd end) => ref end == FlowEnd.Client ? ref _client : ref _server;

    /// <summary>The sequence number an end expects next.</summary>
    /// <remarks>
    /// That is what it last acknowledged: what was forwarded to it may have found its window closed. Only what it has just got it may not have
    /// acknowledged yet.
    /// </remarks>
    public uint ExpectedBy(FlowEnd end, TimeSpan now)
    {
        ref var half = ref Half(end);
        ref var other = ref Half(end.Other());
        return other.HasSent && (!half.HasAcknowledged || now - other.Moved < s_delayedAcknowledgment) ? other.Next : half.Acknowledged;
    }

    /// <summary>Takes in a segment.</summary>
    /// <param name="segment">It.</param>
    /// <param name="from">Its sender.</param>
    /// <param name="passes">Whether the other end gets it.</param>
    /// <param name="now">The time.</param>
    public void See(in TcpFrame segment, FlowEnd from, bool passes, TimeSpan now)
    {
        ref var other = ref Half(from.Other());
        Half(from).Sent(segment, passes, now);
        other.Hardware = segment.DestinationHardware;
        if (passes && segment.Has(TcpFlags.Ack))
        {
            other.WasAcknowledged(segment.Acknowledgment);
        }
    }

    /// <summary>Whether a reset is one that the other end takes (RFC 5961, section 3.2); others are answered with a challenge, or not at all.</summary>
    /// <remarks>
    /// An end that has sent its SYN and heard nothing yet takes only a reset that acknowledges the SYN (RFC 9293, section 3.10.7.3): one of the
    /// connection before, between the same ports and still on its way, is not for this one.
    /// </remarks>
    /// <param name="reset">It, before it was taken in.</param>
    /// <param name="from">Its sender.</param>
    public bool Takes(in TcpFrame reset, FlowEnd from)
    {
        ref var half = ref Half(from);
        ref var other = ref Half(from.Other());
        if (half.HasSent && reset.Sequence == half.Next)
        {
            return true;
        }
        if (other.HasAcknowledged)
        {
            return reset.Sequence == other.Acknowledged;
        }
        return half.HasSent || !other.HasSent || (reset.Has(TcpFlags.Ack) && reset.Acknowledgment == other.Next);
    }

    /// <summary>Begins anew: a SYN between the same ports.</summary>
    public void Restart()
    {
        (_client, _server) = (default, default);
        IsEstablished = false;
    }
}
