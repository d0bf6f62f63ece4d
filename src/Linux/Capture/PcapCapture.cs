using Keepalive.Linux.Packets;
using SharpPcap;
using SharpPcap.LibPcap;
using NetIf = Keepalive.Linux.Interop.NetIf;
using Pcap = Keepalive.Linux.Interop.Pcap;

namespace Keepalive.Linux.Capture;

/// <summary>An interface of this process's own namespace, by SharpPcap and libpcap: only for names that the user has given.</summary>
/// <remarks>
/// The ring is one packet a slot (TPACKET_V2): the block-wise rings that libpcap uses without immediate mode have 256 KiB at least, and hand
/// packets over only when a block is full or has timed out. Used by one thread at a time.
/// </remarks>
public sealed unsafe class PcapCapture : InterfaceCapture
{
    private const int RingBytes = 128 * 1024;

    private readonly Device _device;
    private readonly PcapHandle _handle;
    private readonly bool _isNano;

    private PcapCapture(Device device)
    {
        (_device, _handle) = (device, device.Handle);
        Name = device.Name;
        Link = (LinkType)device.LinkType;
        _isNano = device.TimestampResolution == TimestampResolution.Nanosecond;
    }

    public override string Name { get; }

    public override LinkType Link { get; }

    internal override int Descriptor => _device.Descriptor;

    /// <summary>Begins to capture on an interface of the calling thread's network namespace.</summary>
    /// <param name="name">The interface.</param>
    /// <exception cref="PcapException">There is no such interface, CAP_NET_RAW is missing, …</exception>
    /// <exception cref="DllNotFoundException">libpcap is not installed.</exception>
    public static PcapCapture Open(string name)
    {
        NativeLibraries.Register();
        var device = new Device(Find(name));
        try
        {
            var configuration = new DeviceConfiguration
            {
                Mode = DeviceModes.None,
                Snaplen = SnapLength,
                Immediate = true,
                BufferSize = RingBytes,
                ReadTimeout = 0,
                TimestampResolution = TimestampResolution.Nanosecond,
            };
            configuration.ConfigurationFailed += static (_, _) => { };   // without nanoseconds there are microseconds
            device.Open(configuration);
            device.NonBlockingMode = true;
            return device.Descriptor >= 0 ? new PcapCapture(device) : throw new PcapException($"{name}: it cannot be waited for");
        }
        catch (SharpPcap.PcapException e)
        {
            // The exception only says that it failed.
            var reason = device.Handle.IsInvalid ? e.Message : device.LastError;
            device.Dispose();
            throw new PcapException($"{name}: {reason}", e.Error);
        }
        catch
        {
            device.Dispose();
            throw;
        }
    }

    /// <summary>Changes what the kernel lets pass, which is everything at first. It holds for packets that have arrived, but were not read yet, too.</summary>
    /// <param name="filter">In the language of pcap-filter(7).</param>
    /// <exception cref="PcapException">It is not understood, or no packet can match it.</exception>
    public void SetFilter(string filter)
    {
        try
        {
            // SharpPcap has libpcap take the network's mask for 0, which makes "ip broadcast" match the wrong packets.
            BpfProgram.Create(_handle, filter, netmask: Pcap.PCAP_NETMASK_UNKNOWN).Dispose();
            _device.Filter = filter;
        }
        catch (SharpPcap.PcapException e)
        {
            throw new PcapException(e.Message);
        }
    }

    public override bool TryRead(out long time, out ReadOnlySpan<byte> data, out int wireLength)
    {
        ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
        nint at = 0, bytes = 0;
        var result = _device.GetNextPacketPointers(ref at, ref bytes);
        if (result == 1)
        {
            var header = (Pcap.pcap_pkthdr*)at;
            time = (header->ts.tv_sec * 1_000_000_000L) + (header->ts.tv_usec * (_isNano ? 1L : 1000L));
            data = new ReadOnlySpan<byte>((void*)bytes, (int)header->caplen);
            wireLength = (int)Math.Min(header->len, int.MaxValue);
            return true;
        }
        time = wireLength = 0;
        data = default;
        return result >= 0 ? false : throw new PcapException($"{Name}: read: {_device.LastError}");
    }

    public override (uint Received, uint Dropped) Statistics()
    {
        // Not SharpPcap's: it has fields of eight bytes where libpcap's have four, and tells ps_ifdrop for ps_drop.
        Pcap.pcap_stat statistics;
        return Pcap.pcap_stats(_handle, &statistics) == 0 ? (statistics.ps_recv, statistics.ps_drop) : default;
    }

    public override void Dispose() => _device.Dispose();

    /// <summary>Interfaces alone: libpcap takes some names that none has (nflog, usbmon0) for devices of its own.</summary>
    private static PcapInterface Find(string name)
    {
        uint index;
        fixed (byte* text = System.Text.Encoding.UTF8.GetBytes(name + '\0'))
        {
            index = NetIf.if_nametoindex(text);
        }
        return (index == 0 ? null : PcapInterface.GetAllPcapInterfaces().FirstOrDefault(found => found.Name == name))
            ?? throw new PcapException($"{name}: No such device exists", PcapError.NoSuchDevice);
    }

    private sealed class Device(PcapInterface of) : LibPcapLiveDevice(of)
    {
        public int Descriptor => FileDescriptor;
    }
}
