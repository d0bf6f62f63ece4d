namespace Keepalive.Agent.Apply;

/// <summary>Why a matched socket could not be set: the values of the <c>reason</c> label. Errors of a call go by the name of their errno.</summary>
internal static class FailureReasons
{
    /// <summary>No process was found to hold a descriptor of it: the kernel's own (NFS, CIFS), an io_uring direct descriptor, or one on its
    /// way between two processes.</summary>
    public const string NoOwner = "noOwner";

    /// <summary>The search for the process that holds it had to end, and no pass follows that would go on with it.</summary>
    public const string NoTime = "noTime";

    /// <summary>Files that its owner had put under the numbers of sockets do not close: nothing more of that owner is duplicated.</summary>
    public const string StrayFiles = "strayFiles";

    /// <summary>A subflow of a multipath connection.</summary>
    public const string Multipath = "mptcp";

    /// <summary>Accepted by the kernel, not yet by the application.</summary>
    public const string NotAccepted = "notAccepted";

    /// <summary>The values read back are not those written: another program on the node interferes.</summary>
    public const string ReadBack = "readBackMismatch";

    /// <summary>The state file could not take what would have to be given back.</summary>
    public const string StateFile = "stateFile";

    /// <summary>Its probes are unanswered: a write would send one more.</summary>
    public const string Probing = "probing";

    /// <summary>The same in words.</summary>
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
        null => "unknown",
        _ => $"the kernel refused: {reason}",
    };
}
