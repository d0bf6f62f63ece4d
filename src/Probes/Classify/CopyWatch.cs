using System.Numerics;
using Keepalive.Linux.Packets;

namespace Keepalive.Probes.Classify;

/// <summary>Recognises a packet that was seen just before with other addresses, in another VLAN or in a tunnel: the same numbers in another connection.</summary>
/// <remarks>
/// A node that translates addresses or is the end of a tunnel has each packet twice. Neither changes the sequence number, the acknowledgement, the timestamp
/// or the identification, and two connections hardly ever have the same. A small table is enough: the two are microseconds apart.
/// </remarks>
internal sealed class CopyWatch
{
    /// <summary>No further apart, in nanoseconds: Linux probes at most once a second.</summary>
    private const long Within = 400_000_000;

    /// <summary>The same where neither timestamp nor identification could tell them apart.</summary>
    private const long IndistinctWithin = 1_000_000;

    private const int Bits = 8;

    private readonly Entry[] _recent = new Entry[1 << Bits];

    /// <summary>Looks for a finding's original, and remembers it where there is none.</summary>
    /// <param name="segment">Its segment.</param>
    /// <param name="number">Its packet's.</param>
    /// <param name="time">Its packet's.</param>
    /// <param name="flow">The place of its flow.</param>
    /// <param name="original">The place of the original's.</param>
    /// <returns>Number of the original's packet; 0 where there is none.</returns>
    public long Look(in TcpSegment segment, long number, long time, int flow, out int original)
    {
        var hash = (segment.Sequence ^ BitOperations.RotateLeft(segment.Acknowledged, 16) ^ segment.Timestamp) * 0x9E3779B1;
        ref var entry = ref _recent[hash >> (32 - Bits)];
        if (entry.Sequence == segment.Sequence && entry.Acknowledged == segment.Acknowledged && entry.Timestamp == segment.Timestamp
            && entry.Window == segment.Window && entry.Flow != flow && entry.Number != 0 && time != CapturedPacket.NoTime
            && time - entry.Time is var apart && apart >= 0 && apart < Limit(in entry, in segment))
        {
            original = entry.Flow;
            return entry.Number;
        }
        entry.Sequence = segment.Sequence;
        entry.Acknowledged = segment.Acknowledged;
        entry.Timestamp = segment.Timestamp;
        entry.Window = segment.Window;
        entry.Identification = segment.Identification;
        entry.Flow = flow;
        entry.Number = time == CapturedPacket.NoTime ? 0 : number;
        entry.Time = time;
        original = 0;
        return 0;
    }

    /// <summary>A translation between IPv4 and IPv6 loses the identification.</summary>
    private static long Limit(in Entry entry, in TcpSegment segment)
    {
        if (segment.Timestamp != 0)
        {
            return Within;
        }
        return entry.Identification == 0 || segment.Identification == 0 ? IndistinctWithin
            : entry.Identification == segment.Identification ? Within : 0;
    }

    private struct Entry
    {
        public uint Sequence;
        public uint Acknowledged;
        public uint Timestamp;
        public int Flow;
        public long Number;
        public long Time;
        public ushort Window;
        public ushort Identification;
    }
}
