using Keepalive.Agent.Apply.Bpf;
using Keepalive.Agent.Audit;
using Keepalive.Agent.Support;
using Keepalive.Config.Balancers;
using Keepalive.Linux;
using Keepalive.Linux.Bpf;
using Keepalive.Linux.Capture;
using Keepalive.Linux.Files;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Running;

/// <summary>Tests each feature that a datapath needs, one by one. A failure of one test says nothing about the others.</summary>
internal static class FeatureProbes
{
    private const string ForPidfd = "pidfd";
    private const string ForBpf = "bpf";
    private const string ForBoth = "both";
    private const string ForCapture = "capture";
    private const string ForStart = "start";
    private const string ForAudit = "audit";

    // Some capabilities count only in the initial user namespace, because their objects belong to no other one.
    private static readonly bool s_inInitialUserNamespace = ProcFs.IsInInitialUserNamespace();

    /// <param name="cgroup">The cgroup to attach to; null for the root of version 2.</param>
    /// <param name="stateDirectory">The directory for the lock and the state of <c>run</c>.</param>
    public static IReadOnlyList<Feature> Run(string? cgroup, string stateDirectory) =>
    [
        new Feature("one executable", ForStart, BuildInformation.IsNative ? Answer.Yes : Answer.No, BuildInformation.Lacks, null),
        Owned(Capability.SysAdmin, "entering network namespaces", ForBoth),
        Owned(Capability.SysPtrace, "finding namespaces and duplicating sockets of other processes", ForBoth),
        StateDirectory(stateDirectory),
        new Feature("whole node", ForBoth, ProcFs.SeesWholeNode() ? Answer.Yes : Answer.No, ProcFs.IsMounted ? "the node's PID namespace (hostPID: true)" : "/proc, which is not mounted", null),
        SockDiagnosis(),
        Duplicating(),
        new Feature("libbpf", ForBpf, BpfLibrary.Version is null ? Answer.No : Answer.Yes, "libbpf.so.1 (Debian: libbpf1)", BpfLibrary.Version),
        new Feature("BTF", ForBpf, BpfRequirements.HasBtf ? Answer.Yes : Answer.No, "Linux 5.4 with CONFIG_DEBUG_INFO_BTF=y", null),
        .. BpfRequirements.Needed.Select(needed => OwnedForBpf(needed.Capability, needed.Use)),
        Program("read sockets (iter/tcp)", "ka_read"),
        Program("set sockets (iter/tcp)", "ka_apply"),
        Program("set connections at once (sock_ops)", KernelPrograms.Established),
        Program("see applications' own settings (cgroup/setsockopt)", KernelPrograms.OwnSetting),
        Program("find namespaces (iter/task)", "ka_processes"),
        Program("find owners (iter/task_file)", "ka_owners"),
        Program("see connections come and go (tp_btf)", "ka_states"),
        .. Cgroup(cgroup ?? BpfCgroups.Mount()),
        new Feature("libpcap", ForCapture, PcapLibrary.IsPresent ? Answer.Yes : Answer.No, CapturePrivileges.Library, null),
        Owned(Capability.NetRaw, "capturing packets", ForCapture),
        Capturing(),
        IdleTimeout(Machine.Recognize()),
    ];

    /// <summary>The idle timeout that <c>audit</c> compares connections with. It is no requirement, and there is always one.</summary>
    internal static Feature IdleTimeout(CloudMachine? machine)
    {
        var timeout = machine?.Balancer is { } device ? $"{device.IdleTimeout}s ({device.Name})" : $"{AuditYardstick.DefaultIdleTimeout}s";
        return new Feature("idle timeout", ForAudit, Answer.Yes, null, $"audit compares with {timeout} because {AuditYardstick.Explain(machine)}");
    }

    private static Feature Owned(Capability capability, string use, string path)
    {
        var name = Capabilities.Name(capability);
        return new Feature(name, path, Capabilities.Has(capability) ? Answer.Yes : Answer.No, $"{name}, for {use}", null);
    }

    private static Feature OwnedForBpf(Capability capability, string use)
    {
        var name = Capabilities.Name(capability);
        if (!s_inInitialUserNamespace)
        {
            return new Feature(name, ForBpf, Answer.No, $"{name} in the initial user namespace, for {use}", "this is another user namespace");
        }
        return new Feature(
            name,
            ForBpf,
            BpfRequirements.Has(capability) ? Answer.Yes : Answer.No,
            $"{name}, for {use}",
            !Capabilities.Has(capability) && BpfRequirements.IsPartOfSysAdmin(capability) ? "part of CAP_SYS_ADMIN" : null);
    }

    /// <summary>Creates and removes a directory in the state directory. If that does not exist, it does so where it would be
    /// created.</summary>
    private static Feature StateDirectory(string path)
    {
        const string name = "state directory";
        if (OwnDirectory.Problem(path) is { } problem)
        {
            return No(problem);
        }
        var at = Path.GetFullPath(path);
        while (!Path.Exists(at) && Path.GetDirectoryName(at) is { } parent)
        {
            at = parent;
        }
        try
        {
            Directory.Delete(Directory.CreateDirectory(Path.Combine(at, $".keepalive-agent-support-{Environment.ProcessId}")).FullName);
            return new Feature(name, ForBoth, Answer.Yes, null, path);
        }
        catch (Exception e) when (e is UnauthorizedAccessException || (e is IOException && (e.HResult == Errno.EROFS || !Directory.Exists(at))))
        {
            var why = e is UnauthorizedAccessException ? $"{at}: permission denied" : Directory.Exists(at) ? $"{at} is read-only" : $"{at} is not a directory";
            return No(why);
        }
        catch (IOException e)
        {
            // The failure may be temporary, such as a full disk.
            return new Feature(name, ForBoth, Answer.Inconclusive, null, e.Message);
        }

        Feature No(string why) =>
            new(name, ForBoth, Answer.No, $"a directory that only root can write to; --state-dir names another than {path}", why);
    }

    private static Feature Capturing()
    {
        const string name = "capture packets";
        if (CapturePrivileges.Missing() is { } missing)
        {
            return new Feature(name, ForCapture, Answer.Inconclusive, null, missing);
        }
        try
        {
            // The loopback interface is the only one that every namespace has.
            RingCapture.Open(RouteLookup.Loopback, SocketFilter.Compile("tcp")).Dispose();
            return new Feature(name, ForCapture, Answer.Yes, null, null);
        }
        catch (Exception e) when (e is PcapException or LinuxException)
        {
            return new Feature(name, ForCapture, Answer.Inconclusive, null, e.Message);
        }
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

    private static Feature Program(string name, string program)
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
        catch (BpfException e)
        {
            return LoadFailure.Of(e, KernelRelease.Text) is { } failure
                ? new Feature(name, ForBpf, Answer.No, failure.Needs, failure.Detail)
                : new Feature(name, ForBpf, Answer.Inconclusive, null, BpfRequirements.Explain(e));
        }
    }

    private static IEnumerable<Feature> Cgroup(string? path)
    {
        const string name = "cgroup version 2", beside = "attach beside other programs";
        var wrong = path is null ? "no cgroup version 2 hierarchy is mounted" : BpfRequirements.WrongCgroup(path);
        yield return wrong is null
            ? new Feature(name, ForBpf, Answer.Yes, null, path)
            : new Feature(name, ForBpf, Answer.No, "a directory of a mounted cgroup version 2 hierarchy; a hybrid one is enough", wrong);
        // Listing attached programs needs the same privileges as attaching (kernel/bpf/syscall.c, bpf_prog_query).
        var unknown = wrong is null ? BpfRequirements.Missing() : "there is no such directory to attach to";
        yield return unknown is not null ? new Feature(beside, ForBpf, Answer.Inconclusive, null, unknown)
            : BpfRequirements.Obstacle(path!) is { } obstacle ? new Feature(beside, ForBpf, Answer.No, "programs attached with BPF_F_ALLOW_MULTI", obstacle)
            : new Feature(beside, ForBpf, Answer.Yes, null, null);
    }

    private static string Refused(string what) => $"{what}: a seccomp profile or a security module forbids it";

    private struct NoVisitor : ISockDiagVisitor
    {
        public readonly void Visit(in DiagnosedSocket socket)
        {
        }
    }
}
