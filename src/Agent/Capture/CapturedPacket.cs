using Keepalive.Linux.Packets;

namespace Keepalive.Agent.Capture;

/// <summary>One packet as it was captured. It cannot outlive the next read of its source.</summary>
/// <param name="number">Counts from 1 as Wireshark does.</param>
/// <param name="time">Nanoseconds since 1970; <see cref="NoTime"/> where the capture does not say.</param>
/// <param name="link">What the frame begins with.</param>
/// <param name="data">The captured bytes, from the front.</param>
/// <param name="wireLength">The frame's length on the wire.</param>
/// <param name="scope">Tells flows of the same addresses apart: the network namespace of a live capture, 0 in files.</param>
internal readonly ref struct CapturedPacket(long number, long time, LinkType link, ReadOnlySpan<byte> data, int wireLength, int scope = 0)
{
    public const long NoTime = long.MinValue;

    public long Number { get; } = number;

    public long Time { get; } = time;

    public LinkType Link { get; } = link;

    public ReadOnlySpan<byte> Data { get; } = data;

    public int WireLength { get; } = wireLength;

    public int Scope { get; } = scope;
}
