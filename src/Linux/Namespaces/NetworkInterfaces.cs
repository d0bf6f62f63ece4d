using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Keepalive.Linux.Interop;
using Keepalive.Linux.Sockets;

namespace Keepalive.Linux.Namespaces;

/// <summary>A network interface that is up, with the addresses it has.</summary>
/// <param name="Name">Its name in its namespace.</param>
/// <param name="IsLoopback">Whether what is sent on it comes back.</param>
/// <param name="Addresses">In the form of <see cref="SocketEndpoint.Address"/>.</param>
public sealed record NetworkInterface(string Name, bool IsLoopback, IReadOnlyList<UInt128> Addresses);

/// <summary>The interfaces of a namespace (getifaddrs(3)).</summary>
public static unsafe class NetworkInterfaces
{
    /// <summary>Those of the calling thread's namespace that are up and have an address.</summary>
    public static IReadOnlyList<NetworkInterface> List()
    {
        IfAddrs.ifaddrs* first;
        if (IfAddrs.getifaddrs(&first) != 0)
        {
            throw LinuxException.Last("getifaddrs");
        }
        try
        {
            var found = new Dictionary<string, (bool IsLoopback, List<UInt128> Addresses)>();
            for (var entry = first; entry != null; entry = entry->ifa_next)
            {
                if ((entry->ifa_flags & IfAddrs.IFF_UP) != 0 && entry->ifa_addr != null && Address(entry->ifa_addr) is { } address)
                {
                    var name = Marshal.PtrToStringUTF8((nint)entry->ifa_name)!;
                    if (!found.TryGetValue(name, out var link))
                    {
                        found.Add(name, link = ((entry->ifa_flags & IfAddrs.IFF_LOOPBACK) != 0, []));
                    }
                    link.Addresses.Add(address);
                }
            }
            return [.. found.Select(pair => new NetworkInterface(pair.Key, pair.Value.IsLoopback, pair.Value.Addresses))];
        }
        finally
        {
            IfAddrs.freeifaddrs(first);
        }
    }

    /// <summary>Whether an address is good for one link only (RFC 3927, RFC 4291).</summary>
    public static bool IsLinkLocal(UInt128 address) => new SocketEndpoint(address, 0).IsIPv4 ? (uint)address >> 16 == 0xA9FE : address >> 118 == 0x3FA;

    private static UInt128? Address(byte* address)
    {
        switch (*(ushort*)address)
        {
            case SysSocket.AF_INET:
                var four = ((IfAddrs.sockaddr_in*)address)->sin_addr;
                return SocketEndpoint.FromIPv4(BinaryPrimitives.ReverseEndianness(four), 0).Address;
            case SysSocket.AF_INET6:
                var six = ((IfAddrs.sockaddr_in6*)address)->sin6_addr;
                return BinaryPrimitives.ReadUInt128BigEndian(MemoryMarshal.AsBytes((ReadOnlySpan<uint>)six));
            default:
                return null;
        }
    }
}
