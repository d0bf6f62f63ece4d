using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>linux/ethtool.h, linux/sockios.h: constants, layouts and the ioctl(2) that carries them.</summary>
internal static unsafe partial class LinuxEthtool
{
    internal const uint SIOCETHTOOL = 0x8946;
    internal const uint ETHTOOL_GSTRINGS = 0x1b;
    internal const uint ETHTOOL_GSSET_INFO = 0x37;
    internal const uint ETHTOOL_SFEATURES = 0x3b;
    internal const uint ETH_SS_FEATURES = 4;
    internal const int ETH_GSTRING_LEN = 32;

    /// <summary>Followed by a count for each bit of the mask.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct ethtool_sset_info
    {
        internal uint cmd;
        internal uint reserved;
        internal ulong sset_mask;
    }

    /// <summary>Followed by that many strings of ETH_GSTRING_LEN bytes.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct ethtool_gstrings
    {
        internal uint cmd;
        internal uint string_set;
        internal uint len;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ethtool_set_features_block
    {
        internal uint valid;
        internal uint requested;
    }

    /// <summary>Followed by that many blocks, each for 32 features.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct ethtool_sfeatures
    {
        internal uint cmd;
        internal uint size;
    }

    /// <summary>ioctl(2) with SIOCETHTOOL: not negative, or -1 with errno (EOPNOTSUPP, EPERM without CAP_NET_ADMIN, ENODEV).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int ioctl(SafeHandle fd, nuint request, NetIf.ifreq* argument);
}
