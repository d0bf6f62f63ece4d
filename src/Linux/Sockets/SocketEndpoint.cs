using System.Buffers.Binary;
using System.Net;
using System.Runtime.CompilerServices;

namespace Keepalive.Linux.Sockets;

/// <summary>One end of a TCP connection.</summary>
public readonly record struct SocketEndpoint
{
    /// <summary>The lower half of ::ffff:0:0/96, shifted.</summary>
    private const uint Mapped = 0xFFFF;

    /// <param name="address">The address as 128 bits, most significant first; IPv4 in its mapped form.</param>
    /// <param name="port">The port in host byte order.</param>
    public SocketEndpoint(UInt128 address, ushort port)
        : this((ulong)(address >> 64), (ulong)address, port)
    {
    }

    /// <param name="upper">The first half of the address.</param>
    /// <param name="lower">The second half.</param>
    /// <param name="port">The port in host byte order.</param>
    public SocketEndpoint(ulong upper, ulong lower, ushort port)
    {
        Upper = upper;
        Lower = lower;
        Port = port;
    }

    /// <summary>The address as 128 bits, most significant first; IPv4 in its mapped form, so that ::ffff:10.0.0.1 and 10.0.0.1 are
    /// the same value, as they are on the wire (RFC 4291, 2.5.5.2).</summary>
    public UInt128 Address => new(Upper, Lower);

    // As two halves: a UInt128 is aligned to 16 bytes, and a third of the whole would be padding.

    /// <summary>The first half of the address.</summary>
    public ulong Upper { get; }

    /// <summary>The second half of the address.</summary>
    public ulong Lower { get; }

    /// <summary>The port in host byte order.</summary>
    public ushort Port { get; init; }

    /// <summary>Whether packets of this connection are IPv4.</summary>
    public bool IsIPv4 => Upper == 0 && Lower >> 32 == Mapped;

    /// <param name="addressInHostOrder">An IPv4 address.</param>
    /// <param name="port">The port in host byte order.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static SocketEndpoint FromIPv4(uint addressInHostOrder, ushort port) => new(0, ((ulong)Mapped << 32) | addressInHostOrder, port);

    /// <summary>Whether both are the same.</summary>
    public bool Equals(SocketEndpoint other) => ((Lower ^ other.Lower) | (Upper ^ other.Upper) | ((ulong)Port ^ other.Port)) == 0;

    /// <summary>Seeded at random: addresses cannot be chosen so that all have one.</summary>
    public override int GetHashCode() => HashCode.Combine(Upper, Lower, Port);

    /// <summary><c>10.0.0.1:443</c> or <c>[2001:db8::1]:443</c>.</summary>
    public override string ToString()
    {
        if (IsIPv4)
        {
            var a = (uint)Lower;
            return $"{a >> 24}.{(a >> 16) & 255}.{(a >> 8) & 255}.{a & 255}:{Port}";
        }
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt128BigEndian(bytes, Address);
        return $"[{new IPAddress(bytes)}]:{Port}";
    }
}
