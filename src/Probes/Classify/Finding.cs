using System.Runtime.CompilerServices;
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

    /// <summary>Copies it, part by part: a copy of the whole is a call, and waits until the parts, which were written just before, are in the processor's cache.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void CopyTo(ref Finding other)
    {
        other.Frame = Frame;
        other.Time = Time;
        other.Kind = Kind;
        other.Source = new SocketEndpoint(Source.Upper, Source.Lower, Source.Port);
        other.Destination = new SocketEndpoint(Destination.Upper, Destination.Lower, Destination.Port);
        other.Length = Length;
        other.Path = Path;
        other.Flow = Flow;
        other.CopyOf = CopyOf;
        other.Answers = Answers;
        other.AnsweredBy = AnsweredBy;
        other.RoundTrip = RoundTrip;
        other.IsPresumed = IsPresumed;
        other.IsReset = IsReset;
    }
}
