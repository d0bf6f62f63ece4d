using System.Globalization;
using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Apply;

/// <summary>Whoever has to answer for what a process costs the agent: its pod, else its systemd unit, else its user. A namespace would not do: anybody makes
/// thousands of them.</summary>
internal static class Accountable
{
    /// <summary>In words, such as <c>user 1000</c>; null for the node's own administrator, root in no pod and no unit.</summary>
    public static string? Of(int pid) => Of(ProcFs.Cgroup(pid) ?? "", ProcFs.RealUserId(pid));

    /// <param name="cgroups">As in /proc/PID/cgroup.</param>
    /// <param name="uid">The real user id; null where not known.</param>
    public static string? Of(string cgroups, uint? uid)
    {
        foreach (var line in cgroups.Split('\n'))
        {
            // hierarchy:controllers:path. Where both versions are mounted systemd has its own of version 1.
            if (line.StartsWith("0::", StringComparison.Ordinal) || line.Contains(":name=systemd:", StringComparison.Ordinal))
            {
                if (OfPath(line[line.LastIndexOf(':')..].TrimStart(':')) is { } found)
                {
                    return found;
                }
            }
        }
        return uid is 0 ? null : string.Create(CultureInfo.InvariantCulture, $"user {uid?.ToString(CultureInfo.InvariantCulture) ?? "unknown"}");
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
