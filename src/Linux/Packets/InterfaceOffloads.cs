using System.Text;
using Keepalive.Linux.Files;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Packets;

/// <summary>The work that an interface does for the network stack (ethtool(8), <c>-K</c>).</summary>
public static unsafe class InterfaceOffloads
{
    private const int FeaturesInABlock = 32;

    // Of the kernel's names of features (net/ethtool/common.c); new ones of the same kind come with new kernels.
    private static readonly string[] s_kinds = ["segmentation", "checksum", "scatter-gather", "rx-gro", "rx-lro", "tx-gso"];

    /// <summary>
    /// Switches checksum, segmentation and coalescing offloads off, so that every packet on it is complete and no longer than the MTU. What
    /// the driver cannot switch off stays as it is.
    /// </summary>
    /// <param name="link">An interface of the calling thread's network namespace.</param>
    /// <exception cref="LinuxException">EPERM without CAP_NET_ADMIN over the namespace, ENODEV.</exception>
    public static void Disable(string link)
    {
        using var socket = new FileDescriptor(SysSocket.socket(SysSocket.AF_INET, SysSocket.SOCK_DGRAM | SysSocket.SOCK_CLOEXEC, 0));
        if (socket.IsInvalid)
        {
            throw LinuxException.Last("socket");
        }
        var features = Features(socket, link);
        var blocks = (features.Length + FeaturesInABlock - 1) / FeaturesInABlock;
        var request = new byte[sizeof(LinuxEthtool.ethtool_sfeatures) + (blocks * sizeof(LinuxEthtool.ethtool_set_features_block))];
        fixed (byte* p = request)
        {
            *(LinuxEthtool.ethtool_sfeatures*)p = new() { cmd = LinuxEthtool.ETHTOOL_SFEATURES, size = (uint)blocks };
            var block = (LinuxEthtool.ethtool_set_features_block*)(p + sizeof(LinuxEthtool.ethtool_sfeatures));
            for (var i = 0; i < features.Length; i++)
            {
                if (s_kinds.Any(kind => features[i].Contains(kind, StringComparison.Ordinal)))
                {
                    block[i / FeaturesInABlock].valid |= 1u << (i % FeaturesInABlock);
                }
            }
            Call(socket, link, p);
        }
    }

    /// <summary>The kernel's names of what interfaces can do, in the order of their bits.</summary>
    private static string[] Features(FileDescriptor socket, string link)
    {
        var counted = new byte[sizeof(LinuxEthtool.ethtool_sset_info) + sizeof(uint)];
        uint count;
        fixed (byte* p = counted)
        {
            *(LinuxEthtool.ethtool_sset_info*)p = new() { cmd = LinuxEthtool.ETHTOOL_GSSET_INFO, sset_mask = 1ul << (int)LinuxEthtool.ETH_SS_FEATURES };
            Call(socket, link, p);
            count = *(uint*)(p + sizeof(LinuxEthtool.ethtool_sset_info));
        }
        var strings = new byte[sizeof(LinuxEthtool.ethtool_gstrings) + (count * LinuxEthtool.ETH_GSTRING_LEN)];
        fixed (byte* p = strings)
        {
            *(LinuxEthtool.ethtool_gstrings*)p = new() { cmd = LinuxEthtool.ETHTOOL_GSTRINGS, string_set = LinuxEthtool.ETH_SS_FEATURES, len = count };
            Call(socket, link, p);
        }
        return [.. Enumerable.Range(0, (int)count).Select(i => Encoding.ASCII.GetString(
            strings, sizeof(LinuxEthtool.ethtool_gstrings) + (i * LinuxEthtool.ETH_GSTRING_LEN), LinuxEthtool.ETH_GSTRING_LEN).TrimEnd('\0'))];
    }

    private static void Call(FileDescriptor socket, string link, byte* argument)
    {
        NetIf.ifreq request = default;
        Encoding.ASCII.GetBytes(link, ((Span<byte>)request.ifr_name)[..15]);
        request.ifr_data = argument;
        if (LinuxEthtool.ioctl(socket, LinuxEthtool.SIOCETHTOOL, &request) < 0)
        {
            throw LinuxException.Last("ioctl(SIOCETHTOOL)");
        }
    }
}
