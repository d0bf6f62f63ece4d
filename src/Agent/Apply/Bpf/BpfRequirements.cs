using Keepalive.Linux;
using Keepalive.Linux.Bpf;
using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>The requirements of the bpf datapath besides a kernel that accepts its programs. The texts say how to meet them.</summary>
internal static class BpfRequirements
{
    public const string NoCgroup = "no cgroup version 2 hierarchy is mounted; mount one, or name it with --cgroup";

    private const string BtfPath = "/sys/kernel/btf/vmlinux";

    public static string NoLibrary => "libbpf.so.1 is not installed (Debian: libbpf1)";

    public static string NoBtf => $"the kernel has no type information ({BtfPath}): it needs CONFIG_DEBUG_INFO_BTF=y";

    public static bool HasBtf => File.Exists(BtfPath);

    /// <summary>The needed capabilities, and the use of each.</summary>
    public static IReadOnlyList<(Capability Capability, string Use)> Needed { get; } =
    [
        (Capability.Bpf, "loading BPF programs"),
        (Capability.Perfmon, "BPF programs that read the kernel's own structures"),
        (Capability.NetAdmin, "BPF programs that set socket options, and entering namespaces by a socket of theirs"),
    ];

    /// <summary>The missing capability, in a sentence; null if none is missing.</summary>
    public static string? MissingCapability() =>
        !ProcFs.IsInInitialUserNamespace()
            ? $"{string.Join(", ", Needed.Select(needed => Capabilities.Name(needed.Capability)))} in the initial user namespace are missing: the agent "
                + "is in another user namespace, and what it is allowed there does not count for BPF"
            : Needed.Where(needed => !Has(needed.Capability)).Select(needed => $"{Capabilities.Name(needed.Capability)} is missing: needed for {needed.Use}")
                .FirstOrDefault();

    /// <summary>Whether the agent has a capability, or another one that includes it.</summary>
    public static bool Has(Capability capability) => Capabilities.Has(capability) || IsPartOfSysAdmin(capability);

    /// <summary>Whether the agent has CAP_SYS_ADMIN and it includes a capability. It includes those that were split from it
    /// (include/linux/capability.h, bpf_capable and perfmon_capable).</summary>
    public static bool IsPartOfSysAdmin(Capability capability) =>
        capability is Capability.Bpf or Capability.Perfmon && Capabilities.Has(Capability.SysAdmin);

    /// <summary>Why programs cannot be attached to a path, and what to do about it; null if it is a cgroup of version 2.</summary>
    public static string? WrongCgroup(string path)
    {
        var why = CgroupDirectory.Look(path) switch
        {
            CgroupPath.Version2 => null,
            CgroupPath.Version1 => "it is of version 1",
            CgroupPath.OtherDirectory => "it is on another file system",
            CgroupPath.NotADirectory => "it is not a directory",
            CgroupPath.Missing => "it does not exist",
            _ => "it is not accessible",
        };
        return why is null ? null
            : $"{path} is not a cgroup version 2 directory: {why}; "
                + (BpfCgroups.Mount() is { } mount
                    ? $"version 2 is mounted at {mount}: use that or a directory in it"
                    : "version 2 is not mounted here: mount it (mount -t cgroup2 none DIR), or use --datapath pidfd");
    }

    /// <summary>The program that excludes others at a cgroup, and what to do about it; null if there is none.</summary>
    public static string? Obstacle(string cgroup) =>
        BpfCgroups.Unyielding(cgroup) is var (program, at)
            ? $"program {program} is attached to {at} without BPF_F_ALLOW_MULTI and excludes others ('bpftool cgroup show {at}'); ask its owner to "
                + "attach it with that flag"
            : null;

    /// <summary>The missing requirement that can be found without a try; null if there is none.</summary>
    public static string? Missing() =>
        BpfLibrary.Version is null ? NoLibrary
        : !HasBtf ? NoBtf
        : MissingCapability();

    /// <summary>Why <c>auto</c> does not try bpf; null if it does.</summary>
    /// <remarks>The programs see the connections of the whole cgroup, but the agent sees only the processes of its PID namespace. If that
    /// is not the node's, pidfd is the right datapath: it reaches only sockets that the agent sees.</remarks>
    public static string? WhyNotByDefault() =>
        ProcFs.SeesWholeNode() ? null : "the agent is not in the node's own PID namespace (in Kubernetes: hostPID: true) and sees only a part of it";

    /// <summary>Explains a failed attempt.</summary>
    public static string Explain(Exception e) => e switch
    {
        BpfException { Errno: Errno.EPERM or Errno.EACCES, Detail.Length: 0 } or LinuxException { Errno: Errno.EPERM } =>
            $"{e.Message}: {(Lockdown() is { } lockdown ? $"kernel lockdown is {lockdown}" : "a seccomp profile or a security module forbids it")}",
        LinuxException { Errno: Errno.ENOMEM or Errno.ENOSPC or Errno.E2BIG } => $"{e.Message}: the policies do not fit into the memory that the kernel gives the agent for them",
        BpfException failed when LoadFailure.Of(failed, KernelRelease.Text) is { } failure => failure.Reason,
        BpfException { Errno: Errno.ENOMEM } failed => $"{failed.What}: {Errno.Name(failed.Errno)}: the memory limit is too low for the programs' maps",
        _ => e.Message,
    };

    /// <summary>The kernel's lockdown mode; null if none is in force (kernel_lockdown(7)).</summary>
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
