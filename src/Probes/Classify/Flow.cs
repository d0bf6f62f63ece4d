using System.Runtime.InteropServices;
using Keepalive.Linux.Sockets;

namespace Keepalive.Probes.Classify;

/// <summary>The key of a connection: the lesser end first, so that both directions have one key.</summary>
internal readonly record struct FlowKey(SocketEndpoint Low, SocketEndpoint High, int Scope)
{
    public static FlowKey Of(SocketEndpoint from, SocketEndpoint to, int scope, out bool fromLow)
    {
        fromLow = from.Address < to.Address || (from.Address == to.Address && from.Port <= to.Port);
        return fromLow ? new FlowKey(from, to, scope) : new FlowKey(to, from, scope);
    }

    /// <summary>Not to be foreseen by who writes a capture: <paramref name="seed"/> is chosen at random.</summary>
    public uint Hash(ulong seed)
    {
        var hash = Mix(seed ^ (ulong)Low.Address, (ulong)(Low.Address >> 64) ^ 0x9E3779B97F4A7C15);
        hash = Mix(hash ^ (ulong)High.Address, (ulong)(High.Address >> 64) ^ 0xC2B2AE3D27D4EB4F);
        hash = Mix(hash ^ ((ulong)Low.Port << 48 | (ulong)High.Port << 32 | (uint)Scope), seed | 1);
        return (uint)(hash ^ (hash >> 32));
    }

    private static ulong Mix(ulong a, ulong b)
    {
        var high = Math.BigMul(a, b, out var low);
        return high ^ low ^ a;
    }
}

/// <summary>A connection as far as it has been seen. A value in the table's array: used by reference only.</summary>
[StructLayout(LayoutKind.Auto)]
internal struct Flow
{
    public FlowKey Key;

    /// <summary>The directions: from the lesser end, and from the greater.</summary>
    public Direction FromLow;
    public Direction FromHigh;

    /// <summary>Whether it ended by a reset, and whose.</summary>
    public ResetKind Reset;
    public bool IsResetFromLow;

    /// <summary>The VLANs and tunnels that each direction was seen in, by their numbers in <see cref="PathTable"/>; of no meaning before it was.</summary>
    public int PathFromLow;
    public int PathFromHigh;

    /// <summary>One more than the place in the table of the flow whose packets these are, with other addresses or in another tunnel; 0 for none.</summary>
    public int CopyOf;
    public bool IsCopyReversed;

    /// <summary>Whether other flows are copies of this one.</summary>
    public bool HasCopies;

    // The table's own: the chain of one bucket, and the order of use.
    internal int NextInBucket;
    internal int Newer;
    internal int Older;
    internal uint Hash;

    public readonly bool IsReset => Reset != ResetKind.None;
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
[StructLayout(LayoutKind.Auto)]
internal struct Direction
{
    /// <summary>The sequence number after everything it has sent, so far as is known.</summary>
    public uint Next;
    public bool IsNextKnown;

    /// <summary>Whether <see cref="Next"/> may be one too low, because nothing but what may have been a probe tells of it.</summary>
    public bool IsNextDoubtful;

    /// <summary>Whether more than what may have been probes has told of it.</summary>
    public bool IsNextShown;

    /// <summary>The most it has acknowledged, and the window it last gave.</summary>
    public uint Acknowledged;
    public bool IsAcknowledgedKnown;
    public bool IsWindowClosed;
    public bool HasFinished;

    // The last segment, to know the same one again.
    public uint LastSequence;
    public uint LastAcknowledged;
    public uint LastTimestamp;
    public int LastLength;
    public ushort LastWindow;
    public ushort LastIdentification;
    public byte LastFlags;
    public bool HasLast;
    public long LastTime;

    // The last write, if it was of one byte: repeated, it looks like a probe of one byte.
    public bool IsOneByteWrite;
    public uint WriteSequence;
    public int WriteByte;
    public long WriteTime;

    /// <summary>Whether it may have been a probe instead: the capture began with it; and how long after it was sent it was sent again.</summary>
    public bool IsWriteGuessed;
    public long WriteInterval;

    // A SYN or the answer to one that may be a new connection's: its number and one more, that after its data, and what it acknowledges.
    public Opening Opening;
    public uint OpenFirst;
    public uint OpenNext;
    public uint OpenAcknowledged;

    // Its latest probe.
    public PendingProbe Pending;
    public uint PendingAnswer;
    public long PendingNumber;
    public long PendingTime;

    /// <summary>Whether nothing has come from the other end since.</summary>
    public bool IsPendingLast;

    /// <summary>Keepalive probes since the other end was last heard.</summary>
    public int Unanswered;

    public long Probes;
    public long Answered;
    public long WindowProbes;

    /// <summary>Of the answered probes, those whose times are known, and what they come to in nanoseconds.</summary>
    public long RoundTrips;
    public long RoundTripLeast;
    public long RoundTripMost;
    public long RoundTripSum;

    /// <summary>Forgets everything but the totals: another connection between the same ports.</summary>
    /// <param name="next">Where its sequence stands; null where that is not known.</param>
    public void BeginAnew(uint? next) => this = new Direction
    {
        Next = next ?? 0,
        IsNextKnown = next is not null,
        Probes = Probes,
        Answered = Answered,
        WindowProbes = WindowProbes,
        RoundTrips = RoundTrips,
        RoundTripLeast = RoundTripLeast,
        RoundTripMost = RoundTripMost,
        RoundTripSum = RoundTripSum,
    };

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
