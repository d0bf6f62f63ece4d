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

    public static string NoBtf => $"the kernel has no type information ({BtfPath}): it needs CONFIG_DEBUG_INFO_BTF=y";

    public static bool HasBtf => File.Exists(BtfPath);

    /// <summary>The capabilities, and what each is needed for.</summary>
    public static IReadOnlyList<(Capability Capability, string Use)> Needed { get; } =
    [
        (Capability.Bpf, "loading BPF programs"),
        (Capability.Perfmon, "BPF programs that read the kernel's own structures"),
        (Capability.NetAdmin, "BPF programs that set socket options, and entering namespaces by a socket of theirs"),
    ];

    /// <summary>The capability that is missing, in a sentence; null when all are there.</summary>
    public static string? MissingCapability() =>
        !ProcFs.IsInInitialUserNamespace()
            ? $"{string.Join(", ", Needed.Select(needed => Capabilities.Name(needed.Capability)))} in the initial user namespace are missing: the agent "
                + "is in another user namespace, and what it is allowed there does not count for BPF"
            : Needed.Where(needed => !Has(needed.Capability)).Select(needed => $"{Capabilities.Name(needed.Capability)} is missing: needed for {needed.Use}")
                .FirstOrDefault();

    /// <summary>Whether a capability is there, or another that stands for it.</summary>
    public static bool Has(Capability capability) => Capabilities.Has(capability) || IsPartOfSysAdmin(capability);

    /// <summary>Whether CAP_SYS_ADMIN is there and stands for a capability, as it does for those that were split from it (include/linux/capability.h,
    /// bpf_capable and perfmon_capable).</summary>
    public static bool IsPartOfSysAdmin(Capability capability) =>
        capability is Capability.Bpf or Capability.Perfmon && Capabilities.Has(Capability.SysAdmin);

    /// <summary>What is wrong with a cgroup to attach to, and what to do about it; null when nothing is.</summary>
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

    /// <summary>What keeps others' programs from running beside this one's at a cgroup; null where nothing does.</summary>
    public static string? Obstacle(string cgroup) =>
        BpfCgroups.Unyielding(cgroup) is var (program, at)
            ? $"program {program} is attached to {at} without BPF_F_ALLOW_MULTI and excludes others ('bpftool cgroup show {at}'); ask its owner to "
                + "attach it with that flag"
            : null;

    /// <summary>What can be seen to be missing without trying; null when nothing is.</summary>
    public static string? Missing() =>
        BpfLibrary.Version is null ? NoLibrary
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
            $"{e.Message}: {(Lockdown() is { } lockdown ? $"kernel lockdown is {lockdown}" : "a seccomp profile or a security module forbids it")}",
        LinuxException { Errno: Errno.ENOMEM or Errno.ENOSPC or Errno.E2BIG } => $"{e.Message}: the policies do not fit into the memory that the kernel gives the agent for them",
        BpfException failed when LoadFailure.Of(failed, KernelRelease.Text) is { } failure => failure.Reason,
        BpfException { Errno: Errno.ENOMEM } failed => $"{failed.What}: {Errno.Name(failed.Errno)}: the memory limit is too low for the programs' maps",
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
