using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Capture;

/// <summary>libpcap itself.</summary>
public static unsafe class PcapLibrary
{
    private static readonly Lazy<bool> s_found = new(static () =>
    {
        NativeLibraries.Register();
        return NativeLibraries.CanCall(static () => Pcap.pcap_lib_version());
    });

    /// <summary>Whether it can be called: linked into the program, or a shared library of the system.</summary>
    public static bool IsPresent => s_found.Value;
}
