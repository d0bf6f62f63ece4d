using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Netlink;

/// <summary>Walks netlink attributes (linux/netlink.h, struct nlattr: length, type, payload, padded to four bytes).</summary>
internal static class NetlinkAttributes
{
    private const ushort TypeMask = 0x3FFF;

    /// <summary>Takes one attribute off the front; false at the end, or where the rest is not well formed.</summary>
    internal static bool TryNext(scoped ref ReadOnlySpan<byte> rest, out ushort type, out ReadOnlySpan<byte> value)
    {
        var header = Unsafe.SizeOf<LinuxNetlink.nlattr>();
        if (rest.Length >= header)
        {
            var attribute = MemoryMarshal.Read<LinuxNetlink.nlattr>(rest);
            if (attribute.nla_len >= header && attribute.nla_len <= rest.Length)
            {
                type = (ushort)(attribute.nla_type & TypeMask);
                value = rest[header..attribute.nla_len];
                rest = rest[Math.Min(rest.Length, (attribute.nla_len + 3) & ~3)..];
                return true;
            }
        }
        type = 0;
        value = default;
        return false;
    }
}
