namespace Keepalive.Linux.Packets;

/// <summary>A frame where the kernel put it.</summary>
/// <param name="bytes">From the destination hardware address on, without the outer VLAN tag.</param>
/// <param name="originalLength">Bytes it had on the wire; more than there are where it was too long.</param>
/// <param name="tag">The outer VLAN tag (TPID, TCI) that the kernel took out; 0 for none.</param>
/// <param name="arrived">When the kernel got it, 100 ns since 1970 by CLOCK_REALTIME.</param>
public readonly ref struct ArrivedFrame(ReadOnlySpan<byte> bytes, int originalLength, uint tag, long arrived)
{
    public ReadOnlySpan<byte> Bytes { get; } = bytes;

    public int OriginalLength { get; } = originalLength;

    public uint Tag { get; } = tag;

    public long Arrived { get; } = arrived;

    /// <summary>Whether all of it is there.</summary>
    public bool IsComplete => Bytes.Length == OriginalLength;
}
