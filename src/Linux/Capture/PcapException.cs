using SharpPcap;

namespace Keepalive.Linux.Capture;

/// <summary>libpcap refused something, in its own words.</summary>
public sealed class PcapException : IOException
{
    internal PcapException(string message, PcapError error = PcapError.Generic)
        : base(message)
    {
        IsPermission = error == PcapError.PermissionDenied;
        IsInterface = error is PcapError.NoSuchDevice or PcapError.InterfaceNotUp;
    }

    /// <summary>Whether a privilege is missing (CAP_NET_RAW).</summary>
    public bool IsPermission { get; }

    /// <summary>Whether there is no such interface, or it is down.</summary>
    public bool IsInterface { get; }
}
