using System.Runtime.InteropServices;
using Keepalive.Linux.Interop;
using Keepalive.Linux.Packets;
using PacketDotNet;
using SharpPcap.LibPcap;

namespace Keepalive.Linux.Capture;

/// <summary>A kernel filter, compiled once for any number of interfaces.</summary>
public sealed unsafe class SocketFilter
{
    private readonly LinuxFilter.sock_filter[] _instructions;

    private SocketFilter(LinuxFilter.sock_filter[] instructions) => _instructions = instructions;

    /// <summary>Compiles a filter in the language of pcap-filter(7), for packets that begin with their IP header.</summary>
    /// <exception cref="PcapException">It is not understood.</exception>
    /// <exception cref="DllNotFoundException">libpcap is not installed.</exception>
    public static SocketFilter Compile(string filter)
    {
        try
        {
            using var program = BpfProgram.Create((LinkLayers)LinkType.RawDlt, filter, netmask: Pcap.PCAP_NETMASK_UNKNOWN);
            return new SocketFilter(Instructions(program));
        }
        catch (SharpPcap.PcapException e)
        {
            throw new PcapException($"filter: {e.Message}");
        }
    }

    /// <summary>Attaches it to a packet socket.</summary>
    /// <param name="socket">The socket.</param>
    /// <param name="except">Kinds of packets (PACKET_OTHERHOST, PACKET_OUTGOING) not to let pass, for which the language has no word.</param>
    /// <returns>0, or an errno: EINVAL when it is too long for the kernel.</returns>
    internal int Attach(SafeHandle socket, params ReadOnlySpan<int> except)
    {
        var whole = new List<LinuxFilter.sock_filter>
        {
            new() { code = LinuxFilter.BPF_LD | LinuxFilter.BPF_B | LinuxFilter.BPF_ABS, k = unchecked((uint)(LinuxFilter.SKF_AD_OFF + LinuxFilter.SKF_AD_PKTTYPE)) },
        };
        foreach (var kind in except)
        {
            whole.Add(new() { code = LinuxFilter.BPF_JMP | LinuxFilter.BPF_JEQ | LinuxFilter.BPF_K, jf = 1, k = (uint)kind });
            whole.Add(new() { code = LinuxFilter.BPF_RET | LinuxFilter.BPF_K });
        }
        // Jumps are relative.
        whole.AddRange(_instructions);
        fixed (LinuxFilter.sock_filter* instructions = CollectionsMarshal.AsSpan(whole))
        {
            var program = new LinuxFilter.sock_fprog { len = (ushort)whole.Count, filter = (nint)instructions };
            return SysSocket.setsockopt(socket, SysSocket.SOL_SOCKET, SysSocket.SO_ATTACH_FILTER, &program, (uint)sizeof(LinuxFilter.sock_fprog)) == 0
                ? 0
                : Marshal.GetLastPInvokeError();
        }
    }

    private static LinuxFilter.sock_filter[] Instructions(BpfProgram program)
    {
        var compiled = (Pcap.bpf_program*)program.DangerousGetHandle();
        var instructions = new ReadOnlySpan<LinuxFilter.sock_filter>((void*)compiled->bf_insns, (int)compiled->bf_len).ToArray();
        foreach (ref var instruction in instructions.AsSpan())
        {
            // Packets that pass are captured up to the length that is returned, SharpPcap's 64 KiB.
            if (instruction is { code: LinuxFilter.BPF_RET | LinuxFilter.BPF_K, k: not 0 })
            {
                instruction.k = InterfaceCapture.SnapLength;
            }
        }
        return instructions;
    }
}
