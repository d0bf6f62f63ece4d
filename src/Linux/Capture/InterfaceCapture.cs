using System.Runtime.InteropServices;
using System.Text;
using Keepalive.Linux.Interop;
using Keepalive.Linux.Packets;
using Microsoft.Win32.SafeHandles;

namespace Keepalive.Linux.Capture;

/// <summary>Headers of the packets of one network interface, by libpcap. It stays with the namespace it was opened in, and keeps it alive.</summary>
/// <remarks>
/// The ring is one packet a slot (TPACKET_V2): the block-wise rings that libpcap uses without immediate mode have 256 KiB at least, and hand
/// packets over only when a block is full or has timed out. Used by one thread at a time.
/// </remarks>
public sealed unsafe class InterfaceCapture : IDisposable
{
    /// <summary>Ethernet with two VLAN tags, IPv6 with some extension headers, TCP with all options, and the byte of an old probe.</summary>
    public const int SnapLength = 192;

    private const int RingBytes = 128 * 1024;

    private readonly Handle _handle;
    private readonly bool _isNano;
    private readonly bool _ownOnly;

    private InterfaceCapture(Handle handle, string name, bool ownOnly)
    {
        _handle = handle;
        _ownOnly = ownOnly;
        Name = name;
        Link = (LinkType)Pcap.pcap_datalink(handle);
        _isNano = Pcap.pcap_get_tstamp_precision(handle) == Pcap.PCAP_TSTAMP_PRECISION_NANO;
        Descriptor = Pcap.pcap_get_selectable_fd(handle);
    }

    public string Name { get; }

    /// <summary>What its frames begin with.</summary>
    public LinkType Link { get; }

    public bool IsClosed => _handle.IsClosed;

    /// <summary>To wait for packets on, as <see cref="CapturePoll"/> does.</summary>
    internal int Descriptor { get; }

    /// <summary>Begins to capture on an interface of the calling thread's network namespace.</summary>
    /// <param name="name">The interface.</param>
    /// <param name="filter">As <see cref="SetFilter"/> takes it.</param>
    /// <param name="ownOnly">Leave out frames that the interface sees although they are addressed to another: the kernel drops them, so that
    /// they tell nothing of its sockets.</param>
    /// <exception cref="PcapException">There is no such interface, CAP_NET_RAW is missing, …</exception>
    /// <exception cref="DllNotFoundException">libpcap is not installed.</exception>
    public static InterfaceCapture Open(string name, string filter, bool ownOnly)
    {
        NativeLibraries.Register();
        var error = stackalloc byte[Pcap.PCAP_ERRBUF_SIZE];
        error[0] = 0;
        Handle handle;
        fixed (byte* source = Encoding.UTF8.GetBytes(name + '\0'))
        {
            handle = new Handle(Pcap.pcap_create(source, error));
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
            var capture = new InterfaceCapture(handle, name, ownOnly);
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

    /// <summary>Has the kernel keep what <paramref name="filter"/> (pcap-filter(7)) does not let pass.</summary>
    /// <exception cref="PcapException">It is not understood, or too long for the kernel.</exception>
    public void SetFilter(string filter)
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
        var own = set == 0 && _ownOnly ? AttachOwn(in program) : 0;
        Pcap.pcap_freecode(&program);
        if (set != 0)
        {
            throw Failure("filter");
        }
        if (own != 0)
        {
            throw new PcapException($"{Name}: filter: {new LinuxException("setsockopt(SO_ATTACH_FILTER)", own).Message}", Pcap.PCAP_ERROR);
        }
    }

    /// <summary>The next packet at hand; its bytes stay until the next call.</summary>
    /// <param name="time">Nanoseconds since 1970.</param>
    /// <param name="data">The captured bytes.</param>
    /// <param name="wireLength">How many there were.</param>
    /// <exception cref="PcapException">The interface is gone.</exception>
    public bool TryRead(out long time, out ReadOnlySpan<byte> data, out int wireLength)
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

    /// <summary>Packets that passed the filter, and those among them that found the ring full; both since the beginning.</summary>
    public (uint Received, uint Dropped) Statistics()
    {
        Pcap.pcap_stat statistics;
        return Pcap.pcap_stats(_handle, &statistics) == 0 ? (statistics.ps_recv, statistics.ps_drop) : default;
    }

    public void Dispose() => _handle.Dispose();

    /// <summary>Gives the kernel a compiled filter with one more question in front, for which the language has no word. Jumps are relative.</summary>
    /// <remarks>Not through libpcap: it applies its filter once more to packets that were in the ring before, at least to one, and there the
    /// question has no answer, which means no.</remarks>
    private int AttachOwn(in Pcap.bpf_program program)
    {
        ReadOnlySpan<LinuxFilter.sock_filter> question =
        [
            new() { code = LinuxFilter.BPF_LD | LinuxFilter.BPF_B | LinuxFilter.BPF_ABS, k = unchecked((uint)(LinuxFilter.SKF_AD_OFF + LinuxFilter.SKF_AD_PKTTYPE)) },
            new() { code = LinuxFilter.BPF_JMP | LinuxFilter.BPF_JEQ | LinuxFilter.BPF_K, jf = 1, k = LinuxFilter.PACKET_OTHERHOST },
            new() { code = LinuxFilter.BPF_RET | LinuxFilter.BPF_K },
        ];
        LinuxFilter.sock_filter[] whole = [.. question, .. new ReadOnlySpan<LinuxFilter.sock_filter>((void*)program.bf_insns, (int)program.bf_len)];
        fixed (LinuxFilter.sock_filter* instructions = whole)
        {
            var longer = new LinuxFilter.sock_fprog { len = (ushort)whole.Length, filter = (nint)instructions };
            return SysSocket.setsockopt(Descriptor, SysSocket.SOL_SOCKET, SysSocket.SO_ATTACH_FILTER, &longer, (uint)sizeof(LinuxFilter.sock_fprog)) == 0
                ? 0
                : Marshal.GetLastPInvokeError();
        }
    }

    private PcapException Failure(string what) => new($"{Name}: {what}: {Text(Pcap.pcap_geterr(_handle))}", Pcap.PCAP_ERROR);

    /// <summary>Both of libpcap's messages, unless one says all that the other does.</summary>
    private static string Reason(string status, string more) => more.Length == 0 || status.Contains(more, StringComparison.Ordinal)
        ? status
        : more.Contains(status, StringComparison.Ordinal) ? more : $"{status} ({more})";

    private static string Text(byte* text) => Marshal.PtrToStringUTF8((nint)text) ?? "";

    private sealed class Handle : SafeHandleZeroOrMinusOneIsInvalid
    {
        public Handle(nint value)
            : base(ownsHandle: true) => SetHandle(value);

        protected override bool ReleaseHandle()
        {
            Pcap.pcap_close(handle);
            return true;
        }
    }
}
