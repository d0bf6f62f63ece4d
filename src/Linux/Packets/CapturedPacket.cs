namespace Keepalive.Linux.Packets;

/// <summary>One packet as it was captured. It cannot outlive the next read of its source.</summary>
/// <param name="number">Counts from 1 as Wireshark does.</param>
/// <param name="time">Nanoseconds since 1970; <see cref="NoTime"/> where the capture does not say.</param>
/// <param name="link">The frame's link type.</param>
/// <param name="data">The captured bytes, from the front.</param>
/// <param name="wireLength">The frame's length on the wire.</param>
/// <param name="scope">Tells flows of the same addresses apart: the network namespace of a live capture, 0 in files.</param>
public readonly ref struct CapturedPacket(long number, long time, LinkType link, ReadOnlySpan<byte> data, int wireLength, int scope = 0)
{
    /// <summary>The time of a packet whose capture does not say it.</summary>
    public const long NoTime = long.MinValue;

    /// <summary>Counts from 1 as Wireshark does.</summary>
    public long Number { get; } = number;

    /// <summary>Nanoseconds since 1970, or <see cref="NoTime"/>.</summary>
    public long Time { get; } = time;

    /// <summary>The frame's link type.</summary>
    public LinkType Link { get; } = link;

    /// <summary>The captured bytes, from the front.</summary>
    public ReadOnlySpan<byte> Data { get; } = data;

    /// <summary>The frame's length on the wire.</summary>
    public int WireLength { get; } = wireLength;

    /// <summary>The network namespace of a live capture, 0 in files.</summary>
    public int Scope { get; } = scope;
}
