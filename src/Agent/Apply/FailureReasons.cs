namespace Keepalive.Agent.Apply;

/// <summary>Reasons why a matched socket could not be set: the values of the <c>reason</c> label. If a call failed, the reason is the
/// name of its errno.</summary>
internal static class FailureReasons
{
    /// <summary>No process was found that holds a descriptor of it. It may be a socket of the kernel (NFS, CIFS), an io_uring direct
    /// descriptor, or in transit between two processes.</summary>
    public const string NoOwner = "noOwner";

    /// <summary>The time to search for its process was used up, and no later pass continues the search.</summary>
    public const string NoTime = "noTime";

    /// <summary>Its owner put other files under the descriptor numbers of sockets, and these files do not close. No more descriptors of
    /// that owner are duplicated.</summary>
    public const string StrayFiles = "strayFiles";

    /// <summary>It is a subflow of a multipath connection (MPTCP).</summary>
    public const string Multipath = "mptcp";

    /// <summary>The kernel has accepted it; the application has not yet.</summary>
    public const string NotAccepted = "notAccepted";

    /// <summary>The values read back differ from those written: another program on the node changes them.</summary>
    public const string ReadBack = "readBackMismatch";

    /// <summary>The state file could not be written, so the values to restore could not be noted.</summary>
    public const string StateFile = "stateFile";

    /// <summary>Its probes are unanswered: a write would send one more.</summary>
    public const string Probing = "probing";

    /// <summary>Its application's TCP_USER_TIMEOUT is too short for the policy's probes, and the policy leaves such sockets as they
    /// are.</summary>
    public const string UserTimeout = "userTimeout";

    /// <summary>The reason in words.</summary>
    public static string Text(string? reason) => reason switch
    {
        NoOwner => "no process was found that holds a descriptor of it (possible reasons: a socket of the kernel, an io_uring direct descriptor, "
            + "in transit between processes, a process whose main thread has ended)",
        Multipath => "it is a subflow of a multipath (MPTCP) connection",
        NotAccepted => "its application has not accepted it yet",
        ReadBack => "the values read back differ from those written: another program or a BPF hook changes them",
        NoTime => "the time to find the process that holds it was used up",
        StrayFiles => "files that its owner put in the place of sockets do not close; its descriptors are skipped",
        StateFile => "the state file cannot be written; make room in the state directory",
        Probing => "its probes are unanswered; a write now would end it earlier",
        UserTimeout => "its application's TCP_USER_TIMEOUT is shorter than the policy's probes take, and the policy skips such sockets",
        null => "unknown",
        _ => $"the kernel refused: {reason}",
    };
}
