using System.Runtime.InteropServices;
using System.Text;
using Keepalive.Linux.Interop;
using Keepalive.Linux.Packets;

namespace Keepalive.Linux.Capture;

/// <summary>An interface of this process's own namespace, by libpcap, which takes some names for devices of its own: only for names that the user has given.</summary>
/// <remarks>
/// The ring is one packet a slot (TPACKET_V2): the block-wise rings that libpcap uses without immediate mode have 256 KiB at least, and hand
/// packets over only when a block is full or has timed out. Used by one thread at a time.
/// </remarks>
public sealed unsafe class PcapCapture : InterfaceCapture
{
    private const int RingBytes = 128 * 1024;

    private readonly PcapHandle _handle;
    private readonly bool _isNano;

    private PcapCapture(PcapHandle handle, string name)
    {
        _handle = handle;
        Name = name;
        Link = (LinkType)Pcap.pcap_datalink(handle);
        _isNano = Pcap.pcap_get_tstamp_precision(handle) == Pcap.PCAP_TSTAMP_PRECISION_NANO;
        Descriptor = Pcap.pcap_get_selectable_fd(handle);
    }

    public override string Name { get; }

    public override LinkType Link { get; }

    internal override int Descriptor { get; }

    /// <summary>Begins to capture on an interface of the calling thread's network namespace.</summary>
    /// <param name="name">The interface.</param>
    /// <param name="filter">What the kernel is to let pass, in the language of pcap-filter(7).</param>
    /// <exception cref="PcapException">There is no such interface, CAP_NET_RAW is missing, …</exception>
    /// <exception cref="DllNotFoundException">libpcap is not installed.</exception>
    public static PcapCapture Open(string name, string filter)
    {
        NativeLibraries.Register();
        var error = stackalloc byte[Pcap.PCAP_ERRBUF_SIZE];
        error[0] = 0;
        PcapHandle handle;
        fixed (byte* source = Encoding.UTF8.GetBytes(name + '\0'))
        {
            handle = new PcapHandle(Pcap.pcap_create(source, error));
        }
        if (handle.IsInvalid)
        {
            throw new PcapException(Text(error), Pcap.PCAP_ERROR);
        }
        try
        {
            Pcap.pcap_set_snaplen(handle, SnapLength);
            Pcap.pcap_set_promisc(handle, 0);
            Pcap.pcap_set_immediate_mode(handle, 1);
            Pcap.pcap_set_buffer_size(handle, RingBytes);
            Pcap.pcap_set_tstamp_precision(handle, Pcap.PCAP_TSTAMP_PRECISION_NANO);
            var status = Pcap.pcap_activate(handle);
            if (status < 0)
            {
                throw new PcapException($"{name}: {Reason(Text(Pcap.pcap_statustostr(status)), Text(Pcap.pcap_geterr(handle)))}", status);
            }
            var capture = new PcapCapture(handle, name);
            if (capture.Descriptor < 0 || Pcap.pcap_setnonblock(handle, 1, error) != 0)
            {
                throw new PcapException($"{name}: it cannot be waited for", Pcap.PCAP_ERROR);
            }
            capture.SetFilter(filter);
            return capture;
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    private void SetFilter(string filter)
    {
        Pcap.bpf_program program;
        fixed (byte* text = Encoding.UTF8.GetBytes(filter + '\0'))
        {
            if (Pcap.pcap_compile(_handle, &program, text, 1, Pcap.PCAP_NETMASK_UNKNOWN) != 0)
            {
                throw Failure("filter");
            }
        }
        var set = Pcap.pcap_setfilter(_handle, &program);
        Pcap.pcap_freecode(&program);
        if (set != 0)
        {
            throw Failure("filter");
        }
    }

    public override bool TryRead(out long time, out ReadOnlySpan<byte> data, out int wireLength)
    {
        Pcap.pcap_pkthdr* header;
        byte* bytes;
        var result = Pcap.pcap_next_ex(_handle, &header, &bytes);
        if (result == 1)
        {
            time = (header->ts.tv_sec * 1_000_000_000L) + (header->ts.tv_usec * (_isNano ? 1L : 1000L));
            data = new ReadOnlySpan<byte>(bytes, (int)header->caplen);
            wireLength = (int)Math.Min(header->len, int.MaxValue);
            return true;
        }
        time = wireLength = 0;
        data = default;
        return result >= 0 ? false : throw Failure("read");
    }

    public override (uint Received, uint Dropped) Statistics()
    {
        Pcap.pcap_stat statistics;
        return Pcap.pcap_stats(_handle, &statistics) == 0 ? (statistics.ps_recv, statistics.ps_drop) : default;
    }

    public override void Dispose() => _handle.Dispose();

    private PcapException Failure(string what) => new($"{Name}: {what}: {Text(Pcap.pcap_geterr(_handle))}", Pcap.PCAP_ERROR);

    /// <summary>Both of libpcap's messages, unless one says all that the other does.</summary>
    private static string Reason(string status, string more) => more.Length == 0 || status.Contains(more, StringComparison.Ordinal)
        ? status
        : more.Contains(status, StringComparison.Ordinal) ? more : $"{status} ({more})";

    private static string Text(byte* text) => Marshal.PtrToStringUTF8((nint)text) ?? "";
}
