using Keepalive.Linux;
using Keepalive.Linux.Namespaces;
using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Support;

/// <summary>The requirements of the pidfd datapath: kernel features and capabilities.</summary>
internal static class Privileges
{
    private static readonly IReadOnlyList<(Capability Capability, string For)> s_needed =
    [
        .. NetworkNamespace.HaveCookies ? []
            : ((Capability, string)[])[(Capability.NetAdmin, "comparing the network namespace of a duplicated socket (SIOCGSKNS), before Linux 5.14")],
        (Capability.SysAdmin, "entering the network namespaces of other processes (setns)"),
        (Capability.SysPtrace, "duplicating sockets of other processes (pidfd_getfd) and reading /proc/PID/fd and /proc/PID/ns/net"),
    ];

    /// <summary>One line for each thing that is missing, with what needs it and how to get it; empty when all is there.</summary>
    public static List<string> Missing()
    {
        if (!ProcFs.IsMounted)
        {
            return ["/proc is not mounted: needed to find processes, their sockets and network namespaces. Mount it (mount -t proc proc /proc)."];
        }
        var missing = new List<string>();
        foreach (var (capability, use) in s_needed)
        {
            if (!Capabilities.Has(capability))
            {
                var name = Capabilities.Name(capability);
                missing.Add($"{name} is missing: needed for {use}. Run as root, add {name["CAP_".Length..]} to the container's capabilities, "
                    + $"or set AmbientCapabilities={name} in the systemd unit.");
            }
        }
        if (missing.Count == 0 && Probe() is { } problem)
        {
            missing.Add(problem);
        }
        return missing;
    }

    /// <summary>Writes what is missing to <paramref name="error"/>; true when nothing is.</summary>
    public static bool Check(TextWriter error)
    {
        var missing = Missing();
        foreach (var line in missing)
        {
            error.WriteLine($"keepalive-agent: {line}");
        }
        return missing.Count == 0;
    }

    /// <summary>Tries to enter each of <paramref name="paths"/> and writes what is wrong with it to <paramref name="error"/>; true when all are
    /// network namespaces that can be entered.</summary>
    public static bool CheckNamespaces(IEnumerable<string> paths, TextWriter error)
    {
        var fine = true;
        foreach (var path in paths)
        {
            try
            {
                NetworkNamespace.Run(path, static () => true);
            }
            catch (LinuxException e)
            {
                fine = false;
                error.WriteLine($"keepalive-agent: --netns {path}: " + e.Errno switch
                {
                    Errno.ENOENT => "there is no such file. Give /proc/PID/ns/net of a running process, or /run/netns/NAME.",
                    Errno.EINVAL => "it is not a network namespace. Give /proc/PID/ns/net of a running process, or /run/netns/NAME.",
                    _ => e.Message,
                });
            }
        }
        return fine;
    }

    /// <summary>Duplicates a descriptor of this very process, which only a missing call or a filter can refuse.</summary>
    private static string? Probe()
    {
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
            0 or Errno.EBADF => null,
            Errno.ENOSYS => "pidfd_getfd is missing: it needs Linux 5.6 or later.",
            _ => $"pidfd_getfd is refused ({Errno.Name(errno)}) although CAP_SYS_PTRACE is there: a seccomp profile or a security module forbids "
                + "it. Allow pidfd_open and pidfd_getfd (Kubernetes: seccompProfile type Unconfined or Localhost).",
        };
    }
}
