using Keepalive.Linux.Interop;
using Microsoft.Win32.SafeHandles;

namespace Keepalive.Linux.Capture;

/// <summary>A pcap_t.</summary>
internal sealed class PcapHandle : SafeHandleZeroOrMinusOneIsInvalid
{
    public PcapHandle(nint value)
        : base(ownsHandle: true) => SetHandle(value);

    protected override bool ReleaseHandle()
    {
        Pcap.pcap_close(handle);
        return true;
    }
}
