using System.Globalization;
using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Workloads;

/// <summary>The owner that is charged for the cost of a process: its pod, else its systemd unit, else its user, or of root its cgroup. A namespace would not do: anybody makes
/// thousands of them.</summary>
internal static class Accountable
{
    /// <summary>In words, such as <c>user 1000</c>; null for the node's own administrator, root in no cgroup of a container or a unit.</summary>
    public static string? Of(int pid) => Of(ProcFs.Cgroup(pid), ProcFs.RealUserId(pid));

    /// <summary>An account's key in a dictionary: the node has one, too.</summary>
    public static string Key(string? account) => account ?? "";

    /// <param name="cgroups">As in /proc/PID/cgroup; null where that cannot be read, as when the path is longer than a page.</param>
    /// <param name="uid">The real user id; null where not known.</param>
    public static string? Of(string? cgroups, uint? uid)
    {
        if (cgroups is null && uid is not null)
        {
            return "cgroup that cannot be read";
        }
        var outside = "";
        foreach (var line in (cgroups ?? "").Split('\n'))
        {
            // hierarchy:controllers:path. Where both versions are mounted systemd has its own of version 1.
            if (line.Split(':', 3) is [var hierarchy, var controllers, var path] && (hierarchy == "0" || controllers == "name=systemd"))
            {
                if (OfPath(path) is { } found)
                {
                    return found;
                }
                var parts = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
                outside = parts is [] or ["init.scope"] ? outside : $"cgroup /{string.Join('/', parts.Take(2))}";
            }
        }
        // Root in a container of a runtime that names cgroups in its own way is not the node's administrator.
        return uid is 0 ? (outside.Length > 0 ? outside : null) : string.Create(CultureInfo.InvariantCulture, $"user {uid?.ToString(CultureInfo.InvariantCulture) ?? "unknown"}");
    }

    private static string? OfPath(string path)
    {
        var inKubernetes = false;
        foreach (var part in path.Split('/'))
        {
            // An agent in a cgroup namespace of its own is shown what lies outside by "..", without what lies above both.
            inKubernetes |= part == ".." || part.StartsWith("kubepods", StringComparison.Ordinal);
            if (inKubernetes && (part.StartsWith("pod", StringComparison.Ordinal) || part.Contains("-pod", StringComparison.Ordinal)))
            {
                return $"pod {part}";
            }
            // A user may make cgroups of any name below its slice: the first one counts.
            if ((part.StartsWith("user-", StringComparison.Ordinal) && part.EndsWith(".slice", StringComparison.Ordinal))
                || part.EndsWith(".service", StringComparison.Ordinal)
                || (part.EndsWith(".scope", StringComparison.Ordinal) && part != "init.scope"))
            {
                return $"unit {part}";
            }
        }
        return null;
    }
}
