using System.Buffers.Binary;
using System.Net;

namespace Keepalive.Linux.Sockets;

/// <summary>One end of a TCP connection.</summary>
/// <param name="Address">The address as 128 bits, most significant first; IPv4 in its mapped form, so that ::ffff:10.0.0.1 and 10.0.0.1 are
/// the same value, as they are on the wire (RFC 4291, 2.5.5.2).</param>
/// <param name="Port">The port in host byte order.</param>
public readonly record struct SocketEndpoint(UInt128 Address, ushort Port)
{
    // As two halves: a UInt128 is aligned to 16 bytes, and a third of the whole would be padding.
    private readonly ulong _upper = (ulong)(Address >> 64);
    private readonly ulong _lower = (ulong)Address;

    /// <summary>::ffff:0:0/96.</summary>
    private static readonly UInt128 s_mappedPrefix = (UInt128)0xFFFF << 32;

    public UInt128 Address => new(_upper, _lower);

    /// <summary>Whether packets of this connection are IPv4.</summary>
    public bool IsIPv4 => _upper == 0 && _lower >> 32 == 0xFFFF;

    internal static SocketEndpoint FromIPv4(uint addressInHostOrder, ushort port) => new(s_mappedPrefix | addressInHostOrder, port);

    /// <summary><c>10.0.0.1:443</c> or <c>[2001:db8::1]:443</c>.</summary>
    public override string ToString()
    {
        if (IsIPv4)
        {
            var a = (uint)_lower;
            return $"{a >> 24}.{(a >> 16) & 255}.{(a >> 8) & 255}.{a & 255}:{Port}";
        }
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt128BigEndian(bytes, Address);
        return $"[{new IPAddress(bytes)}]:{Port}";
    }
}
