namespace Keepalive.Agent.Workloads;

/// <summary>Finds the owner that is charged for the cost of a process. This is its pod, else its systemd unit, else its user. For root it
/// is the cgroup instead of the user. Namespaces are not charged, because every user can make thousands of them.</summary>
internal static class Accountable
{
    /// <summary>Returns the owner in words, such as <c>user 1000</c>. Null for the node's own administrator: root outside the cgroups of
    /// containers and units.</summary>
    public static string? Of(int pid) => ProcessOwner.Of(pid).Account;

    /// <summary>Returns the key of an account in a dictionary. The node itself has a key, too.</summary>
    public static string Key(string? account) => account ?? "";

    /// <param name="cgroups">As in /proc/PID/cgroup; null if it cannot be read, for example because the path is longer than a page.</param>
    /// <param name="uid">The real user id; null if unknown.</param>
    public static string? Of(string? cgroups, uint? uid) => ProcessOwner.Of(cgroups, uid).Account;
}
