namespace Keepalive.Simulator.Lab;

/// <summary>Finds out which setting of the machine is in the way of a user namespace, and says how to change it.</summary>
internal static class NamespaceObstacle
{
    private static readonly string[] s_limits = ["max_user_namespaces", "max_net_namespaces", "max_pid_namespaces", "max_mnt_namespaces"];

    /// <param name="what">The command that needs one.</param>
    /// <param name="error">The error of unshare(1).</param>
    /// <param name="read">The contents of a file under /proc, or null where there is none.</param>
    public static string Explain(string what, string error, Func<string, string?> read) =>
        $"the {what} needs CAP_SYS_ADMIN or a user namespace of its own, and gets neither ({error}). {Cause(error, read)}";

    /// <summary>The contents of a file, or null where it cannot be read.</summary>
    public static string? Read(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static string Cause(string error, Func<string, string?> read)
    {
        if (s_limits.FirstOrDefault(limit => Is(read, $"/proc/sys/user/{limit}", "0")) is { } limit)
        {
            return $"The sysctl user.{limit} is 0: sysctl -w user.{limit}=10000 allows them.";
        }
        if (Is(read, "/proc/sys/kernel/unprivileged_userns_clone", "0"))
        {
            return "The sysctl kernel.unprivileged_userns_clone is 0: sysctl -w kernel.unprivileged_userns_clone=1 allows them.";
        }
        if (Is(read, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"))
        {
            return "AppArmor restricts them: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 lifts that for every program, a profile "
                + "with the rule 'userns,' for /usr/bin/unshare for that one.";
        }
        if (error.Contains("No space left on device", StringComparison.Ordinal))
        {
            return $"A limit on their number is reached: raise user.{string.Join(", user.", s_limits)} (sysctl -w), here and in every user "
                + "namespace around this one.";
        }
        if (error.Contains("/proc", StringComparison.Ordinal) && error.Contains("mount", StringComparison.Ordinal))
        {
            return "/proc of this container is masked, and the kernel gives no second one then: run it outside of the container, or in a "
                + "privileged one.";
        }
        return read("/proc/self/status")?.Contains("\nSeccomp:\t2\n", StringComparison.Ordinal) == true
            ? "A seccomp filter is in force, as container runtimes set one: run it outside of the container, or in a privileged one."
            : "Run it as root, outside of any chroot.";
    }

    private static bool Is(Func<string, string?> read, string path, string value) => read(path)?.Trim() == value;
}
