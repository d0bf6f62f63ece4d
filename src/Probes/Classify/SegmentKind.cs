namespace Keepalive.Probes.Classify;

/// <summary>The kind of a segment with respect to keepalive.</summary>
internal enum SegmentKind : byte
{
    /// <summary>Nothing: data, an ordinary acknowledgement, a handshake, an end.</summary>
    Other,

    /// <summary>A keepalive probe.</summary>
    Probe,

    /// <summary>The answer to one.</summary>
    Reply,

    /// <summary>Byte for byte a keepalive probe, sent because the other end's window is closed (RFC 9293, 3.8.6.1).</summary>
    WindowProbe,

    /// <summary>The answer to a window probe.</summary>
    WindowReply,

    /// <summary>A keepalive probe if what follows says so: too little is known of the flow yet.</summary>
    Candidate,

    /// <summary>The same packet as the one before it, captured or delivered twice.</summary>
    Duplicate,
}

/// <summary>Whether a reset ends the connection.</summary>
internal enum ResetKind : byte
{
    /// <summary>It is none, or its number is one that the other end's kernel ignores.</summary>
    None,

    /// <summary>It does if data or acknowledgements were not captured; if not, the other end goes on.</summary>
    Likely,

    /// <summary>Its number is what the other end expects.</summary>
    Certain,
}

/// <summary>The classifier's result for one segment.</summary>
internal struct Classification
{
    public SegmentKind Kind { get; set; }

    /// <summary>Number of the packet with the probe it answers; 0 where it answers none.</summary>
    public long Answers { get; set; }

    /// <summary>Nanoseconds from that probe to this answer; <see cref="Linux.Packets.CapturedPacket.NoTime"/> where either's time is not known.</summary>
    public long RoundTrip { get; set; }

    /// <summary>Whether the probe it answers, or the candidate it repeats, was only now recognised as one: as a window probe if this is the
    /// reply to one.</summary>
    public bool Confirms { get; set; }

    /// <summary>Whether a probe is one only if nothing was sent by the other end: nothing of it was captured, and the sender has shown no more
    /// of its sequence than this. Otherwise it may be the answer to a probe.</summary>
    public bool IsPresumed { get; set; }

    /// <summary>Number of the candidate that turned out to be a probe, where <see cref="Confirms"/>.</summary>
    public long Confirmed { get; set; }

    /// <summary>Number of the sender's own candidate that this segment, one further on, shows to have been a probe, whatever else it is; 0 where
    /// it shows none.</summary>
    public long Shows { get; set; }

    /// <summary>The kind that it settles.</summary>
    public SegmentKind Shown { get; set; }

    /// <summary>Whether that is so only if no byte of data between the two went uncaptured.</summary>
    public bool IsShownPresumed { get; set; }

    /// <summary>Whether the receiver's kernel takes it as a sign of life: it stops counting probes as unanswered.</summary>
    public bool IsHeard { get; set; }

    /// <summary>The effect of a reset.</summary>
    public ResetKind Reset { get; set; }

    /// <summary>Keepalive probes of the sender without an answer, this one included.</summary>
    public int Unanswered { get; set; }
}
