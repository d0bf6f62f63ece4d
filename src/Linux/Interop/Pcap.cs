using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>pcap/pcap.h (libpcap 1.5 and later): what SharpPcap does not import, or keeps to itself. <see cref="NativeLibraries"/> finds the library.</summary>
internal static unsafe partial class Pcap
{
    internal const uint PCAP_NETMASK_UNKNOWN = 0xffffffff;

    /// <summary>struct timeval where time_t has the width of a pointer.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct timeval
    {
        internal nint tv_sec;
        internal nint tv_usec;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct pcap_pkthdr
    {
        internal timeval ts;
        internal uint caplen;
        internal uint len;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct pcap_stat
    {
        internal uint ps_recv;
        internal uint ps_drop;
        internal uint ps_ifdrop;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct bpf_program
    {
        internal uint bf_len;
        internal nint bf_insns;
    }

    /// <summary>pcap_lib_version(3pcap): a static string.</summary>
    [LibraryImport(NativeLibraries.Pcap)]
    internal static partial byte* pcap_lib_version();

    /// <summary>pcap_stats(3pcap): 0, or PCAP_ERROR. The counts begin with the capture and wrap around.</summary>
    [LibraryImport(NativeLibraries.Pcap)]
    internal static partial int pcap_stats(SafeHandle p, pcap_stat* ps);
}
