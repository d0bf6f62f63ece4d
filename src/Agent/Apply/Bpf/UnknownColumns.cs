using Keepalive.Linux;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>The columns of a socket that this kernel does not show, because this build does not know where the kernel keeps
/// them.</summary>
internal static class UnknownColumns
{
    /// <summary>A sentence for the log; null if all columns are known.</summary>
    public static string? Say(uint unknown, KernelPrograms kernel)
    {
        List<string> columns = [];
        Add(BpfAbi.KA_UNKNOWN_TIMER, "timers");
        Add(BpfAbi.KA_UNKNOWN_EXPIRES, "the times left of timers");
        Add(BpfAbi.KA_UNKNOWN_IDLE, "idle times");
        Add(BpfAbi.KA_UNKNOWN_USER_TIMEOUT, "user timeouts");
        Add(BpfAbi.KA_UNKNOWN_CGROUP, "cgroups");
        Add(BpfAbi.KA_UNKNOWN_UID, "users");
        if (kernel.OwnerReader is null)
        {
            columns.Add("processes");
        }
        return columns.Count == 0 ? null
            : $"Unknown here: {string.Join(", ", columns)}. This build does not know where Linux {KernelRelease.Text} keeps them; use a newer keepalive-agent";

        void Add(uint bit, string name)
        {
            if ((unknown & bit) != 0)
            {
                columns.Add(name);
            }
        }
    }
}
