namespace Keepalive.Agent.Workloads;

/// <summary>The owner that is charged for the cost of a process: its pod, else its systemd unit, else its user, or of root its cgroup. A namespace would not do: anybody makes
/// thousands of them.</summary>
internal static class Accountable
{
    /// <summary>In words, such as <c>user 1000</c>; null for the node's own administrator, root in no cgroup of a container or a unit.</summary>
    public static string? Of(int pid) => ProcessOwner.Of(pid).Account;

    /// <summary>An account's key in a dictionary: the node has one, too.</summary>
    public static string Key(string? account) => account ?? "";

    /// <param name="cgroups">As in /proc/PID/cgroup; null where that cannot be read, as when the path is longer than a page.</param>
    /// <param name="uid">The real user id; null where not known.</param>
    public static string? Of(string? cgroups, uint? uid) => ProcessOwner.Of(cgroups, uid).Account;
}
