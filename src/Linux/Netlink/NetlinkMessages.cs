using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Netlink;

/// <summary>Reads netlink messages (linux/netlink.h, struct nlmsghdr: length, type, flags, sequence number, port; padded to four
/// bytes).</summary>
internal static class NetlinkMessages
{
    /// <summary>Takes the first message; false at the end.</summary>
    /// <exception cref="LinuxException">The length of a message is invalid.</exception>
    internal static bool TryNext(string protocol, scoped ref ReadOnlySpan<byte> rest, out LinuxNetlink.nlmsghdr header, out ReadOnlySpan<byte> payload)
    {
        var size = Unsafe.SizeOf<LinuxNetlink.nlmsghdr>();
        if (rest.Length < size)
        {
            header = default;
            payload = default;
            return false;
        }
        header = MemoryMarshal.Read<LinuxNetlink.nlmsghdr>(rest);
        if (header.nlmsg_len < size || header.nlmsg_len > rest.Length)
        {
            throw new LinuxException($"{protocol}: malformed message", Errno.EINVAL);
        }
        payload = rest[size..(int)header.nlmsg_len];
        rest = rest[Math.Min(rest.Length, (int)((header.nlmsg_len + 3) & ~3u))..];
        return true;
    }
}
