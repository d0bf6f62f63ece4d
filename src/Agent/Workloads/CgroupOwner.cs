using System.Globalization;

namespace Keepalive.Agent.Workloads;

/// <summary>The kind of owner of a cgroup.</summary>
internal enum CgroupKind : byte
{
    /// <summary>The path names no owner: the user decides.</summary>
    Nobodys,

    /// <summary>A container of a runtime that names cgroups in its own way. It is the owner only if the user is root.</summary>
    Unnamed,

    /// <summary>A user's slice, with all sessions and services of that user.</summary>
    User,

    Unit,

    Pod,

    /// <summary>The path cannot be read, for example because it is longer than a page.</summary>
    Unreadable,
}

/// <summary>The owner that the path of a cgroup names. Only this type decides about it.</summary>
/// <param name="Kind">The kind of owner.</param>
/// <param name="Name">The part of the path that names it.</param>
internal readonly record struct CgroupOwner(CgroupKind Kind, string Name)
{
    public static CgroupOwner Nobody { get; } = new(CgroupKind.Nobodys, "");

    private static CgroupOwner Unreadable { get; } = new(CgroupKind.Unreadable, "");

    /// <summary>Whether the path alone determines the owner.</summary>
    public bool IsDecided => Kind is CgroupKind.User or CgroupKind.Unit or CgroupKind.Pod;

    /// <param name="cgroups">As in /proc/PID/cgroup; null if it cannot be read.</param>
    /// <param name="hasProcess">Whether the process still exists. If it does, only its path can be the reason for null.</param>
    public static CgroupOwner Of(string? cgroups, bool hasProcess)
    {
        if (cgroups is null && hasProcess)
        {
            return Unreadable;
        }
        var outside = Nobody;
        foreach (var line in (cgroups ?? "").Split('\n'))
        {
            // hierarchy:controllers:path. If both versions are mounted, systemd has its own hierarchy of version 1.
            if (line.Split(':', 3) is [var hierarchy, var controllers, var path] && (hierarchy == "0" || controllers == "name=systemd"))
            {
                var owner = OfPath(path);
                if (owner.IsDecided)
                {
                    return owner;
                }
                outside = owner.Kind == CgroupKind.Nobodys ? outside : owner;
            }
        }
        return outside;
    }

    /// <param name="path">The path of a cgroup in its hierarchy.</param>
    public static CgroupOwner OfPath(string path)
    {
        var inKubernetes = false;
        foreach (var part in path.Split('/'))
        {
            // An agent in its own cgroup namespace sees cgroups outside of it with "..". The path above both is then missing.
            inKubernetes |= part == ".." || part.StartsWith("kubepods", StringComparison.Ordinal);
            if (inKubernetes && (part.StartsWith("pod", StringComparison.Ordinal) || part.Contains("-pod", StringComparison.Ordinal)))
            {
                return new(CgroupKind.Pod, part);
            }
            // A user may make cgroups of any name below its slice, so the first match counts.
            if (part.StartsWith("user-", StringComparison.Ordinal) && part.EndsWith(".slice", StringComparison.Ordinal))
            {
                return new(CgroupKind.User, part);
            }
            if (part.EndsWith(".service", StringComparison.Ordinal) || (part.EndsWith(".scope", StringComparison.Ordinal) && part != "init.scope"))
            {
                return new(CgroupKind.Unit, part);
            }
        }
        var parts = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        return parts is [] or ["init.scope"] ? Nobody : new(CgroupKind.Unnamed, $"/{string.Join('/', parts.Take(2))}");
    }

    /// <summary>Returns the account that is charged for it, in words, such as <c>user 1000</c>. Null for the node's own administrator: root
    /// outside the cgroups of containers and units.</summary>
    /// <param name="uid">The real user id; null if unknown.</param>
    public string? Account(uint? uid) => Kind switch
    {
        CgroupKind.Unreadable => "cgroup that cannot be read",
        CgroupKind.Pod => $"pod {Name}",
        CgroupKind.User or CgroupKind.Unit => $"unit {Name}",
        // Root in a container of a runtime that names cgroups in its own way is not the node's administrator.
        CgroupKind.Unnamed when uid is 0 => $"cgroup {Name}",
        _ => uid is 0 ? null : string.Create(CultureInfo.InvariantCulture, $"user {uid?.ToString(CultureInfo.InvariantCulture) ?? "unknown"}"),
    };

    /// <summary>Returns the workload, such as <c>uid:1000</c>. All sessions of a user are one workload.</summary>
    /// <param name="uid">The user id; null if unknown.</param>
    public string Workload(uint? uid) => Kind switch
    {
        CgroupKind.Unreadable => "cgroup:unreadable",
        CgroupKind.Pod => WorkloadName.Pod + PodId(Name),
        CgroupKind.User => UserOfSlice(Name) is { } user ? WorkloadName.OfUser(user) : WorkloadName.Unit + Name,
        CgroupKind.Unit => WorkloadName.Unit + Name,
        CgroupKind.Unnamed when uid is 0 => WorkloadName.Cgroup + Name,
        _ => WorkloadName.OfUser(uid),
    };

    /// <summary>Returns a pod's uid as the API writes it. systemd writes underscores in it, and the names of the slices before
    /// it.</summary>
    private static string PodId(string part)
    {
        var name = part.StartsWith("pod", StringComparison.Ordinal) ? part[3..] : part[(part.IndexOf("-pod", StringComparison.Ordinal) + 4)..];
        name = name.EndsWith(".slice", StringComparison.Ordinal) ? name[..^6] : name;
        return name.Replace('_', '-').ToLowerInvariant();
    }

    private static uint? UserOfSlice(string part) =>
        uint.TryParse(part.AsSpan()["user-".Length..^".slice".Length], NumberStyles.None, CultureInfo.InvariantCulture, out var uid) ? uid : null;
}
