using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>linux/netfilter/nfnetlink.h: constants and layouts.</summary>
internal static class LinuxNfnetlink
{
    internal const int NFNL_SUBSYS_CTNETLINK = 1;
    internal const byte NFNETLINK_V0 = 0;

    [StructLayout(LayoutKind.Sequential)]
    internal struct nfgenmsg
    {
        internal byte nfgen_family;
        internal byte version;
        internal ushort res_id;
    }
}
