using Keepalive.Linux.Capture;
using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Support;

/// <summary>The requirements of capturing: libpcap and capabilities.</summary>
internal static class CapturePrivileges
{
    /// <summary>The library, and where it is.</summary>
    public const string Library = "libpcap.so.0.8 or libpcap.so.1 (Debian and Ubuntu: libpcap0.8)";

    /// <summary>The missing requirement and how to get it; null if none is missing.</summary>
    public static string? Missing()
    {
        if (!PcapLibrary.IsPresent)
        {
            return "libpcap is missing (libpcap.so.0.8 or libpcap.so.1): needed for capturing packets. Install it: Debian and Ubuntu libpcap0.8, "
                + "others libpcap.";
        }
        return Capabilities.Has(Capability.NetRaw)
            ? null
            : "CAP_NET_RAW is missing: needed for capturing packets. Run as root, add NET_RAW to the container's capabilities, or set "
                + "AmbientCapabilities=CAP_NET_RAW in the systemd unit.";
    }
}
