using Keepalive.Agent.Apply.Bpf;
using Keepalive.Linux;
using Keepalive.Linux.Bpf;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Support;

/// <summary>Tries each thing that a datapath needs, one by one: a failure of one is no answer about another.</summary>
internal static class FeatureProbes
{
    private const string ForPidfd = "pidfd";
    private const string ForBpf = "bpf";
    private const string ForBoth = "both";

    public static IReadOnlyList<Feature> Run(string? cgroup)
    {
        List<Feature> features =
        [
            Capability(Linux.Processes.Capability.SysAdmin, "entering network namespaces", ForBoth),
            Capability(Linux.Processes.Capability.SysPtrace, "finding namespaces and duplicating sockets of other processes", ForBoth),
            new Feature("whole node", ForBoth, ProcFs.SeesWholeNode() ? Answer.Yes : Answer.No, "the node's PID namespace (hostPID: true)", null),
            SockDiagnosis(),
            Duplicating(),
            new Feature("libbpf", ForBpf, BpfLibrary.Version is null ? Answer.No : Answer.Yes, "libbpf.so.1 (Debian: libbpf1)", BpfLibrary.Version),
            new Feature("programs", ForBpf, KernelPrograms.AreBuilt ? Answer.Yes : Answer.No, "a build with clang and libbpf's headers", null),
            new Feature("BTF", ForBpf, BpfRequirements.HasBtf ? Answer.Yes : Answer.No, "Linux 5.4 with CONFIG_DEBUG_INFO_BTF=y", null),
            Capability(Linux.Processes.Capability.NetAdmin, "BPF programs that set socket options", ForBpf),
            Program("read sockets (iter/tcp)", "ka_read", "Linux 5.15"),
            Program("set sockets (iter/tcp)", "ka_apply", "Linux 5.15"),
            Program("set connections at once (sock_ops)", KernelPrograms.Established, "Linux 5.15"),
            Program("see applications' own settings (cgroup/setsockopt)", KernelPrograms.OwnSetting, "Linux 5.15"),
            Program("find namespaces (iter/task)", "ka_processes", "Linux 5.15"),
            Program("find owners (iter/task_file)", "ka_owners", "Linux 5.15"),
            Cgroup(cgroup),
        ];
        return features;
    }

    private static Feature Capability(Capability capability, string use, string path)
    {
        var has = Capabilities.Has(capability);
        return new Feature(
            Capabilities.Name(capability), path, has ? Answer.Yes : Answer.No, $"{Capabilities.Name(capability)}, for {use}", null);
    }

    private static Feature SockDiagnosis()
    {
        const string name = "enumerate sockets (sock_diag)";
        try
        {
            var count = new NoVisitor();
            using var diag = SockDiag.Open();
            diag.Dump(Linux.Sockets.TcpStates.Listen, details: false, ref count);
            return new Feature(name, ForBoth, Answer.Yes, null, null);
        }
        catch (LinuxException e) when (e.Errno is Errno.EPERM or Errno.EACCES)
        {
            return new Feature(name, ForBoth, Answer.Inconclusive, null, Refused(e.Message));
        }
        catch (LinuxException e)
        {
            return new Feature(name, ForBoth, Answer.No, "Linux 3.3 with CONFIG_INET_DIAG", e.Message);
        }
    }

    private static Feature Duplicating()
    {
        const string name = "duplicate sockets (pidfd_getfd)";
        using var self = ProcessDescriptor.TryOpen(Environment.ProcessId, out var errno);
        if (self is not null)
        {
            errno = self.TryDuplicate(2, out var copy);
            if (errno == 0)
            {
                copy.Dispose();
            }
        }
        return errno switch
        {
            0 or Errno.EBADF => new Feature(name, ForPidfd, Answer.Yes, null, null),
            Errno.ENOSYS => new Feature(name, ForPidfd, Answer.No, "Linux 5.6", null),
            _ => new Feature(name, ForPidfd, Answer.Inconclusive, null, Refused(Errno.Name(errno))),
        };
    }

    private static Feature Program(string name, string program, string needs)
    {
        if (BpfRequirements.Missing() is { } missing)
        {
            return new Feature(name, ForBpf, Answer.Inconclusive, null, missing);
        }
        try
        {
            KernelPrograms.Try(program);
            return new Feature(name, ForBpf, Answer.Yes, null, null);
        }
        catch (BpfException e) when (e.Errno is Errno.EPERM or Errno.EACCES or Errno.ENOMEM && e.Detail.Length == 0)
        {
            return new Feature(name, ForBpf, Answer.Inconclusive, null, BpfRequirements.Explain(e));
        }
        catch (BpfException e)
        {
            return new Feature(name, ForBpf, Answer.No, needs, e.Message);
        }
    }

    private static Feature Cgroup(string? named)
    {
        const string name = "cgroup version 2";
        var path = named ?? BpfCgroups.Mount();
        if (path is null)
        {
            return new Feature(name, ForBpf, Answer.No, "a mounted cgroup version 2 hierarchy; a hybrid one will do", null);
        }
        return BpfRequirements.MissingCapability() is { } missing
            ? new Feature(name, ForBpf, Answer.Inconclusive, null, missing)
            : new Feature(name, ForBpf, Answer.Yes, null, path);
    }

    private static string Refused(string what) => $"{what}: a seccomp profile or a security module forbids it";

    private struct NoVisitor : ISockDiagVisitor
    {
        public readonly void Visit(in DiagnosedSocket socket)
        {
        }
    }
}
