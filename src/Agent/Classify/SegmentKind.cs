namespace Keepalive.Agent.Classify;

/// <summary>What a segment is to keepalive.</summary>
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

/// <summary>What the classifier says of one segment.</summary>
internal readonly record struct Classification
{
    public SegmentKind Kind { get; init; }

    /// <summary>Number of the packet with the probe it answers; 0 where it answers none.</summary>
    public long Answers { get; init; }

    /// <summary>Nanoseconds from that probe to this answer.</summary>
    public long RoundTrip { get; init; }

    /// <summary>Whether the probe it answers, or the candidate it repeats, was only now recognised as one.</summary>
    public bool Confirms { get; init; }

    /// <summary>Number of the candidate that turned out to be a probe, where <see cref="Confirms"/>.</summary>
    public long Confirmed { get; init; }

    /// <summary>Whether the receiver's kernel takes it as a sign of life: it stops counting probes as unanswered.</summary>
    public bool IsHeard { get; init; }

    /// <summary>Keepalive probes of the sender without an answer, this one included.</summary>
    public int Unanswered { get; init; }
}
