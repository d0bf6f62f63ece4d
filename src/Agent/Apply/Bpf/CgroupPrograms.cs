using Keepalive.Linux;
using Keepalive.Linux.Bpf;
using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>The programs at the cgroup. They are attached beside those of others, and end with the agent, however it ends.</summary>
internal sealed class CgroupPrograms : IDisposable
{
    private static readonly uint s_pidNamespace = (uint)ProcFs.Inode("/proc/self/ns/pid");

    private readonly BpfLink _ownSetting;
    private readonly BpfLink _established;

    /// <exception cref="BpfException">The kernel refused.</exception>
    public CgroupPrograms(KernelPrograms kernel, string cgroup)
    {
        RemoveLeftovers(cgroup);
        if (BpfRequirements.Obstacle(cgroup) is { } obstacle)
        {
            throw new BpfException($"attaching to the cgroup {cgroup}", Errno.EPERM, obstacle);
        }
        // The program that notes the application's own settings comes first: the other one relies on its notes.
        _ownSetting = kernel.AttachToCgroup(KernelPrograms.OwnSetting, cgroup);
        try
        {
            _established = kernel.AttachToCgroup(KernelPrograms.Established, cgroup);
        }
        catch
        {
            _ownSetting.Dispose();
            throw;
        }
    }

    /// <summary>Whether both programs are attached to a cgroup. They are not if it was removed, or if one of them was detached.</summary>
    public bool AreAt(string cgroup) => ProcFs.Inode(cgroup) is var id and not 0 && _ownSetting.Cgroup == id && _established.Cgroup == id;

    /// <summary>Adds the identity of this agent to the settings, so that a successor knows whose programs they are.</summary>
    public static BpfAbi.ka_settings Signed(BpfAbi.ka_settings settings)
    {
        settings.owner = (uint)Environment.ProcessId;
        settings.owner_pidns = s_pidNamespace;
        settings.owner_started = ProcFs.StartTime(Environment.ProcessId);
        return settings;
    }

    /// <summary>Detaches the programs of an agent that is gone. Its links ended with it, unless another process still holds
    /// them.</summary>
    /// <returns>The number of detached programs.</returns>
    public static int RemoveLeftovers(string cgroup)
    {
        var dead = BpfCgroups.Attached(cgroup)
            .Where(attached => attached.Program is KernelPrograms.Established or KernelPrograms.OwnSetting)
            .Where(attached => BpfCgroups.TryRead<BpfAbi.ka_settings>(attached.Link, KernelPrograms.Settings, out var settings) && IsOfTheDead(settings))
            .ToList();
        return dead.Count(attached => BpfCgroups.TryDetach(attached.Link));
    }

    public void Dispose()
    {
        _established.Dispose();
        _ownSetting.Dispose();
    }

    /// <summary>Whether the agent that signed is gone. For an agent in another PID namespace this cannot be decided.</summary>
    private static bool IsOfTheDead(BpfAbi.ka_settings settings) =>
        settings.owner_pidns == s_pidNamespace && settings.owner != 0 && ProcFs.StartTime((int)settings.owner) != settings.owner_started;
}
