namespace Keepalive.Linux.Capture;

/// <summary>libpcap refused something, in its own words.</summary>
public sealed class PcapException(string message, int status) : IOException(message)
{
    /// <summary>Whether a privilege is missing (CAP_NET_RAW).</summary>
    public bool IsPermission { get; } = status == Interop.Pcap.PCAP_ERROR_PERM_DENIED;

    /// <summary>Whether there is no such interface, or it is down.</summary>
    public bool IsInterface { get; } = status is Interop.Pcap.PCAP_ERROR_NO_SUCH_DEVICE or Interop.Pcap.PCAP_ERROR_IFACE_NOT_UP;
}
