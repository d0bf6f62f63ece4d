using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>pcap/pcap.h (libpcap 1.5 and later): raw imports, constants and layouts. <see cref="NativeLibraries"/> finds the library.</summary>
internal static unsafe partial class Pcap
{
    internal const int PCAP_ERRBUF_SIZE = 256;
    internal const int PCAP_ERROR = -1;
    internal const int PCAP_ERROR_BREAK = -2;
    internal const int PCAP_ERROR_NO_SUCH_DEVICE = -5;
    internal const int PCAP_ERROR_PERM_DENIED = -8;
    internal const int PCAP_ERROR_IFACE_NOT_UP = -9;
    internal const int PCAP_TSTAMP_PRECISION_NANO = 1;
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

    /// <summary>pcap_create(3pcap): a handle, or null with a message in the buffer.</summary>
    [LibraryImport(NativeLibraries.Pcap)]
    internal static partial nint pcap_create(byte* source, byte* errbuf);

    /// <summary>pcap_open_dead(3pcap): a handle to compile filters with; libpcap ends the program where it has no memory for it.</summary>
    [LibraryImport(NativeLibraries.Pcap)]
    internal static partial nint pcap_open_dead(int linktype, int snaplen);

    /// <summary>pcap_close(3pcap).</summary>
    [LibraryImport(NativeLibraries.Pcap)]
    internal static partial void pcap_close(nint p);

    /// <summary>pcap_set_snaplen(3pcap): 0, or PCAP_ERROR_ACTIVATED.</summary>
    [LibraryImport(NativeLibraries.Pcap)]
    internal static partial int pcap_set_snaplen(SafeHandle p, int snaplen);

    /// <summary>pcap_set_promisc(3pcap): likewise.</summary>
    [LibraryImport(NativeLibraries.Pcap)]
    internal static partial int pcap_set_promisc(SafeHandle p, int promisc);

    /// <summary>pcap_set_immediate_mode(3pcap): likewise.</summary>
    [LibraryImport(NativeLibraries.Pcap)]
    internal static partial int pcap_set_immediate_mode(SafeHandle p, int immediate_mode);

    /// <summary>pcap_set_buffer_size(3pcap): likewise; bytes.</summary>
    [LibraryImport(NativeLibraries.Pcap)]
    internal static partial int pcap_set_buffer_size(SafeHandle p, int buffer_size);

    /// <summary>pcap_set_tstamp_precision(3pcap): 0, or PCAP_ERROR_TSTAMP_PRECISION_NOTSUP.</summary>
    [LibraryImport(NativeLibraries.Pcap)]
    internal static partial int pcap_set_tstamp_precision(SafeHandle p, int tstamp_precision);

    /// <summary>pcap_get_tstamp_precision(3pcap): of the timestamps handed out.</summary>
    [LibraryImport(NativeLibraries.Pcap)]
    internal static partial int pcap_get_tstamp_precision(SafeHandle p);

    /// <summary>pcap_activate(3pcap): 0, above 0 with a warning, below 0 with an error; pcap_geterr may say more.</summary>
    [LibraryImport(NativeLibraries.Pcap)]
    internal static partial int pcap_activate(SafeHandle p);

    /// <summary>pcap_datalink(3pcap): a DLT_ number.</summary>
    [LibraryImport(NativeLibraries.Pcap)]
    internal static partial int pcap_datalink(SafeHandle p);

    /// <summary>pcap_setnonblock(3pcap): 0, or PCAP_ERROR with a message in the buffer.</summary>
    [LibraryImport(NativeLibraries.Pcap)]
    internal static partial int pcap_setnonblock(SafeHandle p, int nonblock, byte* errbuf);

    /// <summary>pcap_get_selectable_fd(3pcap): a descriptor for poll(2), or PCAP_ERROR.</summary>
    [LibraryImport(NativeLibraries.Pcap)]
    internal static partial int pcap_get_selectable_fd(SafeHandle p);

    /// <summary>pcap_next_ex(3pcap): 1 with a packet that stays until the next call, 0 without, or PCAP_ERROR.</summary>
    [LibraryImport(NativeLibraries.Pcap)]
    internal static partial int pcap_next_ex(SafeHandle p, pcap_pkthdr** pkt_header, byte** pkt_data);

    /// <summary>pcap_compile(3pcap): 0, or PCAP_ERROR; what it fills in is given back by pcap_freecode.</summary>
    [LibraryImport(NativeLibraries.Pcap)]
    internal static partial int pcap_compile(SafeHandle p, bpf_program* fp, byte* str, int optimize, uint netmask);

    /// <summary>pcap_freecode(3pcap).</summary>
    [LibraryImport(NativeLibraries.Pcap)]
    internal static partial void pcap_freecode(bpf_program* fp);

    /// <summary>pcap_setfilter(3pcap): 0, or PCAP_ERROR.</summary>
    [LibraryImport(NativeLibraries.Pcap)]
    internal static partial int pcap_setfilter(SafeHandle p, bpf_program* fp);

    /// <summary>pcap_stats(3pcap): 0, or PCAP_ERROR. The counts begin with the capture and wrap around.</summary>
    [LibraryImport(NativeLibraries.Pcap)]
    internal static partial int pcap_stats(SafeHandle p, pcap_stat* ps);

    /// <summary>pcap_geterr(3pcap): a string that belongs to the handle.</summary>
    [LibraryImport(NativeLibraries.Pcap)]
    internal static partial byte* pcap_geterr(SafeHandle p);

    /// <summary>pcap_statustostr(3pcap): a static string.</summary>
    [LibraryImport(NativeLibraries.Pcap)]
    internal static partial byte* pcap_statustostr(int error);
}
