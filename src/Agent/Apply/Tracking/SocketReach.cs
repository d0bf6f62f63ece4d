using System.Runtime.InteropServices;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>The way to a socket: the process that holds it, and a possible barrier.</summary>
[StructLayout(LayoutKind.Auto)]
internal struct SocketReach
{
    private int _leftOverSince;   // passes begin at 1
    private Obstacle _barrier;

    /// <summary>The process that holds it; 0 if unknown.</summary>
    public int Pid
    {
        readonly get;
        private set
        {
            HasNews |= value != field;
            field = value;
        }
    }

    /// <summary>Whether another process holds it than its last record says.</summary>
    public bool HasNews { readonly get; private set; }

    /// <summary>The descriptor of that process, if the datapath reaches it through one.</summary>
    public int Descriptor { readonly get; private set; }

    /// <summary>The cgroup in which it was created; processes of it are searched first. 0 if unknown.</summary>
    public ulong CgroupId { get; set; }

    /// <summary>The reason why it can never be reached, as far as is known; null if there is none.</summary>
    public string? Barrier
    {
        readonly get => _barrier switch
        {
            Obstacle.None => null,
            Obstacle.Multipath => FailureReasons.Multipath,
            _ => FailureReasons.NoOwner,
        };
        set => _barrier = value is null ? Obstacle.None : value == FailureReasons.Multipath ? Obstacle.Multipath : Obstacle.NoOwner;
    }

    /// <summary>Whether the kernel was asked if it is a subflow. This is done after no process was found that holds it.</summary>
    public bool IsSubflowKnown { get; set; }

    /// <summary>The first pass in which the time to search for its process was used up; null if no search is to be continued.</summary>
    public readonly long? LeftOverSince => _leftOverSince == 0 ? null : _leftOverSince;

    /// <summary>Whether the time to search for its process was used up, so that a later pass continues the search.</summary>
    public readonly bool IsLeftOver => _leftOverSince != 0;

    /// <summary>Sets the process that holds it, as far as is known; 0 if there is none.</summary>
    public void HeldBy(int pid) => Pid = pid;

    /// <summary>Notes that it was found among the descriptors of a process.</summary>
    public void Found(int pid, int descriptor) => (Pid, Descriptor, _leftOverSince) = (pid, descriptor, 0);

    /// <summary>Notes that it is no longer where it was found.</summary>
    public void Lose() => Pid = 0;

    /// <summary>Leaves the search for it to the next pass.</summary>
    public void LeaveOver(long pass) => _leftOverSince = _leftOverSince == 0 ? (int)pass : _leftOverSince;

    /// <summary>Notes that its process was reported.</summary>
    public void Told() => HasNews = false;

    /// <summary>Ends the search for it.</summary>
    public void EndSearch() => _leftOverSince = 0;

    // There may be a hundred thousand of these: a byte in place of a reference.
    private enum Obstacle : byte
    {
        None,
        Multipath,
        NoOwner,
    }
}
