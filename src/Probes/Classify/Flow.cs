using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Keepalive.Probes.Classify;

/// <summary>A connection as far as it has been seen. A value in the table's array: used by reference only.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct Flow
{
    /// <summary>Probes that are compared with those of others; all of them where one was the same.</summary>
    public const int ProbesToCompare = 16;

    public FlowKey Key;

    /// <summary>One more than the place in the table of the flow whose packets these are, with other addresses or in another tunnel; 0 for none.</summary>
    public int CopyOf;
    public bool IsCopyReversed;

    /// <summary>Whether other flows are copies of this one.</summary>
    public bool HasCopies;

    /// <summary>Whether it ended by a reset, and whose.</summary>
    public ResetKind Reset;
    public bool IsResetFromLow;

    /// <summary>Whose answer is awaited to the packet that ended the latest silence.</summary>
    public Awaited Awaited;

    /// <summary>The VLANs and tunnels that each direction was seen in, by their numbers in <see cref="PathTable"/>; of no meaning before it was.</summary>
    public int PathFromLow;
    public int PathFromHigh;

    /// <summary>The directions: from the lesser end, and from the greater.</summary>
    public Direction FromLow;
    public Direction FromHigh;

    /// <summary>The latest silence, and the longest that was survived.</summary>
    public Silence Silence;

    public readonly bool IsReset => Reset != ResetKind.None;

    /// <summary>Whether its probes are no longer compared with others' (<see cref="IsCompared"/>), this one's included.</summary>
    public readonly bool IsComparedNoMore
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => !IsCompared && FromLow.Probes + FromHigh.Probes >= ProbesToCompare;
    }

    /// <summary>Whether all its packets are compared with others', as one was the same.</summary>
    public readonly bool IsCompared => CopyOf != 0 || HasCopies;
}

/// <summary>The end from which something is expected.</summary>
internal enum Awaited : byte
{
    None,
    FromLow,
    FromHigh,
}

/// <summary>A probe that waits for its answer, by what it is.</summary>
internal enum PendingProbe : byte
{
    None,
    Keepalive,
    Window,

    /// <summary>A window probe of one byte, which the other end may take or not.</summary>
    WindowByte,
    Candidate,
}

/// <summary>A SYN within a connection, which is ignored unless what follows is of a new one.</summary>
internal enum Opening : byte
{
    None,
    Asked,

    /// <summary>With an acknowledgement.</summary>
    Answered,
}

/// <summary>One end's sending: where its sequence stands, what was sent last, and its probes.</summary>
/// <remarks>In the order of use: most packets need only the first 128 bytes, two lines of the processor's cache.</remarks>
[StructLayout(LayoutKind.Sequential)]
internal struct Direction
{
    // The last segment, to know the same one again.
    public uint LastSequence;
    public uint LastAcknowledged;
    public uint LastTimestamp;
    public int LastLength;
    public long LastTime;
    public ushort LastWindow;
    public ushort LastIdentification;
    public byte LastFlags;
    public bool HasLast;

    public bool IsNextKnown;

    /// <summary>Whether <see cref="Next"/> may be one too low, because nothing but what may have been a probe tells of it.</summary>
    public bool IsNextDoubtful;

    /// <summary>The sequence number after everything it has sent, so far as is known.</summary>
    public uint Next;

    /// <summary>The most it has acknowledged, and the window it last gave.</summary>
    public uint Acknowledged;
    public bool IsAcknowledgedKnown;
    public bool IsWindowClosed;
    public bool HasFinished;

    /// <summary>Whether more than what may have been probes has told of <see cref="Next"/>.</summary>
    public bool IsNextShown;

    // A SYN or the answer to one that may be a new connection's; see below.
    public Opening Opening;

    // Its latest probe.
    public PendingProbe Pending;

    /// <summary>Whether nothing has come from the other end since.</summary>
    public bool IsPendingLast;

    /// <summary>The hop limit of the latest packet that is no reset, also of an earlier connection between the same ports; 0 before there was one.</summary>
    public byte HopLimit;
    public uint PendingAnswer;

    /// <summary>Keepalive probes since the other end was last heard.</summary>
    public int Unanswered;
    public long PendingNumber;
    public long PendingTime;

    public long Probes;
    public long Answered;

    /// <summary>Of the answered probes, those whose times are known, and what they come to in nanoseconds.</summary>
    public long RoundTrips;
    public long RoundTripLeast;
    public long RoundTripMost;
    public long RoundTripSum;

    public long WindowProbes;

    // The last write, if it was of one byte: repeated, it looks like a probe of one byte.
    public uint WriteSequence;
    public int WriteByte;
    public long WriteTime;
    public long WriteInterval;

    /// <summary>Whether it may have been a probe instead: the capture began with it; <see cref="WriteInterval"/> is how long after it was sent it was sent again.</summary>
    public bool IsWriteGuessed;
    public bool IsOneByteWrite;

    // The opening segment's number and one more, that after its data, and what it acknowledges.
    public uint OpenFirst;
    public uint OpenNext;
    public uint OpenAcknowledged;

    /// <summary>Whether nothing is open about where it stands, and what it has acknowledged.</summary>
    public readonly bool IsSure => IsNextKnown && !IsNextDoubtful && IsAcknowledgedKnown && Opening == Opening.None;

    /// <summary>Forgets everything but the totals: another connection between the same ports.</summary>
    /// <param name="next">Where its sequence stands; null where that is not known.</param>
    public void BeginAnew(uint? next) => this = new Direction
    {
        Next = next ?? 0,
        IsNextKnown = next is not null,
        HopLimit = HopLimit,
        Probes = Probes,
        Answered = Answered,
        WindowProbes = WindowProbes,
        RoundTrips = RoundTrips,
        RoundTripLeast = RoundTripLeast,
        RoundTripMost = RoundTripMost,
        RoundTripSum = RoundTripSum,
    };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void CountAnswer(long roundTrip)
    {
        Answered++;
        // Without times, or where the clock went back, there is none.
        if (roundTrip >= 0)
        {
            RoundTripLeast = RoundTrips == 0 ? roundTrip : Math.Min(RoundTripLeast, roundTrip);
            RoundTripMost = Math.Max(RoundTripMost, roundTrip);
            RoundTripSum += roundTrip;
            RoundTrips++;
        }
    }
}
