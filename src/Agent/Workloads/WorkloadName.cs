using System.Collections.Concurrent;
using System.Globalization;

namespace Keepalive.Agent.Workloads;

/// <summary>The texts that name workloads: <c>pod:UID</c>, <c>unit:NAME</c>, <c>uid:N</c>, <c>cgroup:/A/B</c>.</summary>
internal static class WorkloadName
{
    public const string Pod = "pod:";
    public const string Unit = "unit:";
    public const string Cgroup = "cgroup:";

    /// <summary>The name of an unknown owner.</summary>
    public const string Unknown = "uid:unknown";

    /// <summary>The maximum number of user names that are kept. Every pass needs the names again.</summary>
    private const int MaxKept = 4096;

    private static readonly ConcurrentDictionary<uint, string> s_users = new();

    public static string OfUser(uint? uid)
    {
        if (uid is not { } known)
        {
            return Unknown;
        }
        if (s_users.TryGetValue(known, out var name))
        {
            return name;
        }
        if (s_users.Count >= MaxKept)
        {
            s_users.Clear();
        }
        return s_users.GetOrAdd(known, static uid => string.Create(CultureInfo.InvariantCulture, $"uid:{uid}"));
    }

    public static bool IsPod(string workload) => workload.StartsWith(Pod, StringComparison.Ordinal);

    /// <summary>Returns the pod uid of a workload; null if it is not a pod.</summary>
    public static string? PodId(string workload) => IsPod(workload) ? workload[Pod.Length..] : null;
}
