using Keepalive.Linux;
using Keepalive.Linux.Bpf;
using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>What the bpf datapath needs besides a kernel that takes its programs, in words that say how to get it.</summary>
internal static class BpfRequirements
{
    public const string NoCgroup = "no cgroup version 2 hierarchy is mounted; mount one, or name it with --cgroup";

    private const string BtfPath = "/sys/kernel/btf/vmlinux";

    public static string NoLibrary => "libbpf.so.1 is not installed (Debian: libbpf1)";

    public static string NotBuilt => "this build has no BPF programs in it: it was made without clang or without libbpf's headers";

    public static string NoBtf => $"the kernel has no type information ({BtfPath}): it needs CONFIG_DEBUG_INFO_BTF=y";

    public static bool HasBtf => File.Exists(BtfPath);

    /// <summary>The capability that is missing, in a sentence; null when all are there.</summary>
    public static string? MissingCapability()
    {
        foreach (var (capability, use) in new[]
        {
            (Capability.Bpf, "loading BPF programs"),
            (Capability.Perfmon, "BPF programs that read the kernel's own structures"),
            (Capability.NetAdmin, "BPF programs that set socket options, and entering namespaces by a socket of theirs"),
        })
        {
            // CAP_SYS_ADMIN stands for the first two (include/linux/bpf.h, capability.h).
            if (!Capabilities.Has(capability) && (capability == Capability.NetAdmin || !Capabilities.Has(Capability.SysAdmin)))
            {
                return $"{Capabilities.Name(capability)} is missing: needed for {use}";
            }
        }
        return null;
    }

    /// <summary>What can be seen to be missing without trying; null when nothing is.</summary>
    public static string? Missing() =>
        !KernelPrograms.AreBuilt ? NotBuilt
        : BpfLibrary.Version is null ? NoLibrary
        : !HasBtf ? NoBtf
        : MissingCapability();

    /// <summary>Why <c>auto</c> does not even try; null when it does.</summary>
    /// <remarks>The programs see the connections of everything in the cgroup, and the agent only the processes of its PID namespace: where
    /// that is not the node's, the way that reaches what it sees is the right one.</remarks>
    public static string? WhyNotByDefault() =>
        ProcFs.SeesWholeNode() ? null : "the agent is not in the node's own PID namespace (in Kubernetes: hostPID: true) and sees only a part of it";

    /// <summary>What a failed attempt means.</summary>
    public static string Explain(Exception e) => e switch
    {
        BpfException { Errno: Errno.EPERM or Errno.EACCES, Detail.Length: 0 } or LinuxException { Errno: Errno.EPERM } =>
            $"{e.Message}: {(Lockdown() is { } lockdown ? $"kernel lockdown is {lockdown}" : "a seccomp profile or a security module forbids it, or the agent is in a user namespace")}",
        LinuxException { Errno: Errno.ENOMEM or Errno.ENOSPC } => $"{e.Message}: the policies do not fit into the memory that the kernel gives the agent for them",
        BpfException { Errno: Errno.ENOMEM } => $"{e.Message}: the memory limit is too low for the programs' maps",
        _ => e.Message,
    };

    /// <summary>The kernel's lockdown mode where there is one in force (kernel_lockdown(7)).</summary>
    public static string? Lockdown()
    {
        try
        {
            var text = File.ReadAllText("/sys/kernel/security/lockdown");
            var mode = text[(text.IndexOf('[', StringComparison.Ordinal) + 1)..text.IndexOf(']', StringComparison.Ordinal)];
            return mode == "none" ? null : mode;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentOutOfRangeException)
        {
            return null;
        }
    }
}
