using System.Collections.Frozen;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply;

/// <summary>How much a pass looks at and what it may do.</summary>
internal sealed record PassScope
{
    /// <summary>Look at every namespace whatever its counters say, read the values of every selected socket, and look for its owner wherever
    /// it may be.</summary>
    public bool Full { get; init; }

    /// <summary>Read the values of sockets that no rule selects, too.</summary>
    public bool ReadAll { get; init; }

    /// <summary>Dump every namespace with tracked sockets, for their timers and idle clocks.</summary>
    public bool Timers { get; init; }

    /// <summary>Namespaces to dump for the same, whatever their counters say.</summary>
    public IReadOnlySet<ulong> TimersOf { get; init; } = FrozenSet<ulong>.Empty;

    /// <summary>Whether the timers and idle clocks of a namespace are wanted.</summary>
    public bool WantsTimers(ulong inode) => Timers || TimersOf.Contains(inode);

    /// <summary>Tell which process a socket belongs to, also where reaching it does not need to know.</summary>
    public bool Owners { get; init; }

    /// <summary>Say what would be done and change nothing.</summary>
    public bool DryRun { get; init; }

    /// <summary>The last pass: there will be no other to put something off to.</summary>
    public bool Last { get; init; }

    /// <summary>The only pass: what it leaves out stays so.</summary>
    public bool Only { get; init; }

    /// <summary>The states to enumerate.</summary>
    public TcpStates States { get; init; } = TcpStates.Connections;

    /// <summary>How long a bulk of changes may take; zero applies it at once.</summary>
    public TimeSpan SpreadOver { get; init; }

    /// <summary>Ends a spread early; what is left is done in the next pass.</summary>
    public CancellationToken Stop { get; init; }
}

/// <summary>What a pass did.</summary>
internal readonly record struct PassSummary
{
    /// <summary>Namespaces with something living in them.</summary>
    public int Namespaces { get; init; }

    /// <summary>Of those, enumerated in this pass.</summary>
    public int NamespacesDumped { get; init; }

    /// <summary>Sockets enumerated.</summary>
    public int Sockets { get; init; }

    /// <summary>Sockets whose own values were read.</summary>
    public int Read { get; init; }

    /// <summary>Processes seen, and those that may not be looked into.</summary>
    public int Processes { get; init; }

    public int InaccessibleProcesses { get; init; }

    /// <summary>Namespaces that could not be entered or dumped.</summary>
    public int NamespaceFailures { get; init; }

    /// <summary>Why one of them could not; null where that is not known, or none failed.</summary>
    public string? NamespaceFailure { get; init; }

    /// <summary>Namespaces that were not looked into because their owner has too many.</summary>
    public int NamespacesLeftOut { get; init; }

    /// <summary>Of the last pass: sockets that have an agent's values and could not be looked at.</summary>
    public int NotReached { get; init; }

    /// <summary>What keeps the datapath from doing all it could, null where nothing does.</summary>
    public string? Trouble { get; init; }

    /// <summary>New connections, since the datapath began, that were set and not reported because there were too many at once.</summary>
    public long Lost { get; init; }

    /// <summary>New connections, since the datapath began, that the kernel had no memory for or did not let be written: a pass set them.</summary>
    public long LeftToPasses { get; init; }

    /// <summary>Namespaces that could not be looked into, in words; null where there are none.</summary>
    public string? NamespacesFailed => NamespaceFailures == 0 ? null
        : $"{Words.Count(NamespaceFailures, "network namespace")} could not be examined: {NamespaceFailure ?? "it is tried again in the next pass"}";

    /// <summary>What the pass did not reach, in words.</summary>
    public IEnumerable<string> Gaps => new[] { NamespacesFailed, Trouble }.OfType<string>();

    /// <summary>Time spent waiting to spread changes; not part of what a pass costs.</summary>
    public TimeSpan Waited { get; init; }
}
