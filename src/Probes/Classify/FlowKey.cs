using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Keepalive.Linux.Packets;
using Keepalive.Linux.Sockets;

namespace Keepalive.Probes.Classify;

/// <summary>The key of a connection: the lesser end first, so that both directions have one key.</summary>
/// <remarks>Five words without padding: compared and hashed for each packet.</remarks>
internal readonly struct FlowKey : IEquatable<FlowKey>
{
    /// <summary>The number of words.</summary>
    public const int Words = 5;

    private readonly ulong _lowUpper;
    private readonly ulong _lowLower;
    private readonly ulong _highUpper;
    private readonly ulong _highLower;

    /// <summary>The lesser end's port, the other's, and the scope.</summary>
    private readonly ulong _rest;

    /// <param name="low">The lesser end.</param>
    /// <param name="high">The other end.</param>
    /// <param name="scope">The scope of their packets.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public FlowKey(in SocketEndpoint low, in SocketEndpoint high, int scope)
    {
        (_lowUpper, _lowLower) = (low.Upper, low.Lower);
        (_highUpper, _highLower) = (high.Upper, high.Lower);
        _rest = ((ulong)low.Port << 48) | ((ulong)high.Port << 32) | (uint)scope;
    }

    /// <summary>The key of a connection by IPv4.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private FlowKey(ulong low, ulong high, ulong rest)
    {
        (_lowUpper, _lowLower) = (0, low);
        (_highUpper, _highLower) = (0, high);
        _rest = rest;
    }

    public SocketEndpoint Low => new(_lowUpper, _lowLower, (ushort)(_rest >> 48));

    public SocketEndpoint High => new(_highUpper, _highLower, (ushort)(_rest >> 32));

    public static bool operator ==(FlowKey one, FlowKey other) => one.Equals(other);

    public static bool operator !=(FlowKey one, FlowKey other) => !one.Equals(other);

    /// <param name="from">The sender of a packet.</param>
    /// <param name="to">Its receiver.</param>
    /// <param name="scope">Its scope.</param>
    /// <param name="fromLow">Whether the sender is the lesser end.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FlowKey Of(in SocketEndpoint from, in SocketEndpoint to, int scope, out bool fromLow)
    {
        fromLow = from.Upper != to.Upper ? from.Upper < to.Upper : from.Lower != to.Lower ? from.Lower < to.Lower : from.Port <= to.Port;
        return fromLow ? new FlowKey(in from, in to, scope) : new FlowKey(in to, in from, scope);
    }

    /// <summary>The same of a plain frame.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FlowKey Of(in PlainFrame frame, int scope, out bool fromLow)
    {
        var source = SocketEndpoint.FromIPv4(frame.Source, frame.SourcePort);
        var destination = SocketEndpoint.FromIPv4(frame.Destination, frame.DestinationPort);
        fromLow = source.Lower != destination.Lower ? source.Lower < destination.Lower : source.Port <= destination.Port;
        var ports = fromLow ? ((ulong)source.Port << 48) | ((ulong)destination.Port << 32) : ((ulong)destination.Port << 48) | ((ulong)source.Port << 32);
        return new FlowKey(fromLow ? source.Lower : destination.Lower, fromLow ? destination.Lower : source.Lower, ports | (uint)scope);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Equals(FlowKey other) =>
        ((_lowLower ^ other._lowLower) | (_highLower ^ other._highLower) | (_rest ^ other._rest) | (_lowUpper ^ other._lowUpper) | (_highUpper ^ other._highUpper)) == 0;

    public override bool Equals(object? obj) => obj is FlowKey other && Equals(other);

    public override int GetHashCode() => HashCode.Combine(_lowUpper, _lowLower, _highUpper, _highLower, _rest);

    /// <summary>The hash of this key under a seed.</summary>
    /// <remarks>
    /// Multilinear hashing (Lemire and Kaser, Strongly universal string hashing is fast, 2014): the upper half of a sum of products modulo 2⁶⁴. Whatever two keys are,
    /// at most one seed in 2³² gives them the same hash: an author of packets, who does not know the seed, cannot have chosen them to collide.
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint Hash(in FlowSeed seed)
    {
        var sum = seed.Sum
            + Product(_lowLower, seed.LowLower, seed.LowLowerToo) + Product(_highLower, seed.HighLower, seed.HighLowerToo)
            + Product(_rest, seed.Rest, seed.RestToo)
            + Product(_lowUpper, seed.LowUpper, seed.LowUpperToo) + Product(_highUpper, seed.HighUpper, seed.HighUpperToo);
        return (uint)(sum >> 32);
    }

    private static ulong Product(ulong word, ulong one, ulong other) => (one + (uint)word) * (other + (word >> 32));
}

/// <summary>Random numbers that choose one hash among many.</summary>
internal readonly struct FlowSeed
{
    /// <param name="random">The source of the numbers.</param>
    public FlowSeed(Random random)
    {
        Span<ulong> numbers = stackalloc ulong[1 + (2 * FlowKey.Words)];
        random.NextBytes(MemoryMarshal.AsBytes(numbers));
        Sum = numbers[0];
        (LowLower, LowLowerToo) = (numbers[1], numbers[2]);
        (HighLower, HighLowerToo) = (numbers[3], numbers[4]);
        (Rest, RestToo) = (numbers[5], numbers[6]);
        (LowUpper, LowUpperToo) = (numbers[7], numbers[8]);
        (HighUpper, HighUpperToo) = (numbers[9], numbers[10]);
    }

    public ulong Sum { get; }

    public ulong LowLower { get; }

    public ulong LowLowerToo { get; }

    public ulong HighLower { get; }

    public ulong HighLowerToo { get; }

    public ulong Rest { get; }

    public ulong RestToo { get; }

    public ulong LowUpper { get; }

    public ulong LowUpperToo { get; }

    public ulong HighUpper { get; }

    public ulong HighUpperToo { get; }
}
