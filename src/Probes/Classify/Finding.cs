using Keepalive.Linux.Sockets;

namespace Keepalive.Probes.Classify;

/// <summary>A segment worth telling of. A value in the queue's array: used by reference only.</summary>
internal struct Finding
{
    /// <summary>Number of its packet.</summary>
    public long Frame;

    /// <summary>Nanoseconds since 1970; <see cref="Linux.Packets.CapturedPacket.NoTime"/> where the capture does not say.</summary>
    public long Time;
    public SegmentKind Kind;
    public SocketEndpoint Source;
    public SocketEndpoint Destination;

    /// <summary>Bytes of payload: 0 or 1.</summary>
    public int Length;

    /// <summary>The VLANs and tunnels that it is in, by their number in <see cref="PathTable"/>.</summary>
    public int Path;

    /// <summary>The place of its flow in the table, which may be another one's later.</summary>
    public int Flow;

    /// <summary>Number of the packet that this one repeats with other addresses or in another tunnel; 0 for none.</summary>
    public long CopyOf;

    /// <summary>The probe that a reply answers; 0 for probes.</summary>
    public long Answers;

    /// <summary>The packet that answers a probe; 0 where none has yet.</summary>
    public long AnsweredBy;

    /// <summary>From a probe to its answer, in nanoseconds; <see cref="Linux.Packets.CapturedPacket.NoTime"/> where that is not known.</summary>
    public long RoundTrip;

    /// <summary>Whether a probe is one only if nothing went uncaptured that would make it something else.</summary>
    public bool IsPresumed;

    /// <summary>Whether the packet that answers a probe is a reset.</summary>
    public bool IsReset;

    /// <summary>Whether nothing that can still come would change it.</summary>
    public readonly bool IsSettled => Kind == SegmentKind.Reply || AnsweredBy != 0;
}
