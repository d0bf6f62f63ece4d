namespace Keepalive.Agent.Apply.Tracking;

/// <summary>How a socket is reached: through which process, and what is in the way.</summary>
internal struct SocketReach
{
    /// <summary>The process that holds it; 0 where not known.</summary>
    public int Pid { readonly get; private set; }

    /// <summary>That process's descriptor, where it is reached through one.</summary>
    public int Descriptor { readonly get; private set; }

    /// <summary>The cgroup that it was made in: its process is searched there first. 0 where not known.</summary>
    public ulong CgroupId { get; set; }

    /// <summary>Why nothing ever reaches it, as far as is known; null where that is not so.</summary>
    public string? Barrier { get; set; }

    /// <summary>Whether the kernel was asked if it is a subflow, after no process was found to hold it.</summary>
    public bool IsSubflowKnown { get; set; }

    /// <summary>The pass in which the search for its process had no time to end; null where it goes on with nothing.</summary>
    public long? LeftOverSince { readonly get; private set; }

    /// <summary>Whether the search for its process had no time to end, and goes on.</summary>
    public readonly bool IsLeftOver => LeftOverSince is not null;

    /// <summary>A process holds it, as far as anybody knows; 0 is none.</summary>
    public void HeldBy(int pid) => Pid = pid;

    /// <summary>It was found among a process's descriptors.</summary>
    public void Found(int pid, int descriptor) => (Pid, Descriptor, LeftOverSince) = (pid, descriptor, null);

    /// <summary>It is not where it was.</summary>
    public void Lose() => Pid = 0;

    /// <summary>The search for it goes on in the next pass.</summary>
    public void LeaveOver(long pass) => LeftOverSince ??= pass;

    /// <summary>The search for it has ended.</summary>
    public void EndSearch() => LeftOverSince = null;
}
