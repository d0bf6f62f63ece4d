using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Processes;

/// <summary>The capabilities this program asks for (capabilities(7)).</summary>
public enum Capability
{
    NetAdmin = LinuxCapability.CAP_NET_ADMIN,
    NetRaw = LinuxCapability.CAP_NET_RAW,
    SysPtrace = LinuxCapability.CAP_SYS_PTRACE,
    SysAdmin = LinuxCapability.CAP_SYS_ADMIN,
    Perfmon = LinuxCapability.CAP_PERFMON,
    Bpf = LinuxCapability.CAP_BPF,
}

/// <summary>The capabilities of the calling thread.</summary>
public static class Capabilities
{
    /// <summary>The kernel's spelling, <c>CAP_SYS_PTRACE</c> for example.</summary>
    public static string Name(Capability capability) => capability switch
    {
        Capability.NetAdmin => nameof(LinuxCapability.CAP_NET_ADMIN),
        Capability.NetRaw => nameof(LinuxCapability.CAP_NET_RAW),
        Capability.SysPtrace => nameof(LinuxCapability.CAP_SYS_PTRACE),
        Capability.SysAdmin => nameof(LinuxCapability.CAP_SYS_ADMIN),
        Capability.Perfmon => nameof(LinuxCapability.CAP_PERFMON),
        Capability.Bpf => nameof(LinuxCapability.CAP_BPF),
        _ => $"capability {(int)capability}",
    };

    /// <summary>Whether <paramref name="capability"/> is in the calling thread's effective set.</summary>
    /// <exception cref="LinuxException">capget(2) failed.</exception>
    public static unsafe bool Has(Capability capability)
    {
        var header = new LinuxCapability.cap_user_header { version = LinuxCapability._LINUX_CAPABILITY_VERSION_3 };
        var data = stackalloc LinuxCapability.cap_user_data[2];
        if (LinuxCapability.capget(&header, data) != 0)
        {
            throw LinuxException.Last("capget");
        }
        var number = (int)capability;
        return (data[number / 32].effective & (1u << (number % 32))) != 0;
    }
}
