using Keepalive.Linux;
using Keepalive.Linux.Bpf;
using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>The programs at the cgroup: attached beside those of others, and gone with the agent, however it ends.</summary>
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
        // First what notes an application's own settings, then what needs them noted.
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

    /// <summary>Whether all of them are at a cgroup: not after it was removed, or somebody has detached one.</summary>
    public bool AreAt(string cgroup) => ProcFs.Inode(cgroup) is var id and not 0 && _ownSetting.Cgroup == id && _established.Cgroup == id;

    /// <summary>What to write into the settings so that a successor knows whose programs they are.</summary>
    public static BpfAbi.ka_settings Signed(BpfAbi.ka_settings settings)
    {
        settings.owner = (uint)Environment.ProcessId;
        settings.owner_pidns = s_pidNamespace;
        settings.owner_started = ProcFs.StartTime(Environment.ProcessId);
        return settings;
    }

    /// <summary>Detaches programs of an agent that is gone: its links ended with it, unless somebody else still holds them.</summary>
    /// <returns>How many there were.</returns>
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

    /// <summary>Whether the agent that signed is gone; one in another PID namespace cannot be judged from here.</summary>
    private static bool IsOfTheDead(BpfAbi.ka_settings settings) =>
        settings.owner_pidns == s_pidNamespace && settings.owner != 0 && ProcFs.StartTime((int)settings.owner) != settings.owner_started;
}
