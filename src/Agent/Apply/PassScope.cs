using System.Collections.Frozen;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply;

/// <summary>The extent of a pass: how much it examines, and which changes are allowed.</summary>
internal sealed record PassScope
{
    /// <summary>Examine every namespace whatever its counters say, read the values of every selected socket, and search all processes for
    /// its owner.</summary>
    public bool Full { get; init; }

    /// <summary>Whether this pass continues a full pass, for which there was not enough time. Each owner has its share of time again. The
    /// shares of both kinds of passes are no debts: a start has more to do than other passes.</summary>
    public bool Continues { get; init; }

    /// <summary>Also read the values of sockets that no rule selects.</summary>
    public bool ReadAll { get; init; }

    /// <summary>Dump every namespace with tracked sockets, to read their timers and idle times.</summary>
    public bool Timers { get; init; }

    /// <summary>Namespaces to dump for the same purpose, whatever their counters say.</summary>
    public IReadOnlySet<ulong> TimersOf { get; init; } = FrozenSet<ulong>.Empty;

    /// <summary>Whether the timers and idle times of a namespace are needed.</summary>
    public bool WantsTimers(ulong inode) => Timers || TimersOf.Contains(inode);

    /// <summary>The sockets that must send a keepalive probe now, by network namespace.</summary>
    public IReadOnlyDictionary<ulong, IReadOnlySet<ulong>> Ask { get; init; } = FrozenDictionary<ulong, IReadOnlySet<ulong>>.Empty;

    /// <summary>Report the process of each socket, even if the datapath does not need it to reach the socket.</summary>
    public bool Owners { get; init; }

    /// <summary>Report the changes that would be made, and make none.</summary>
    public bool DryRun { get; init; }

    /// <summary>The last pass: nothing can be deferred to a later one.</summary>
    public bool Last { get; init; }

    /// <summary>The only pass: no later pass completes its work.</summary>
    public bool Only { get; init; }

    /// <summary>The TCP states of the sockets to list.</summary>
    public TcpStates States { get; init; } = TcpStates.Connections;

    /// <summary>The time over which a large number of changes is spread; zero applies them at once.</summary>
    public TimeSpan SpreadOver { get; init; }

    /// <summary>Ends a search, a spread or the whole pass early; the next pass does the rest.</summary>
    public CancellationToken Stop { get; init; }
}

/// <summary>The result of a pass.</summary>
internal readonly record struct PassSummary
{
    /// <summary>Network namespaces that the agent holds open.</summary>
    public int Namespaces { get; init; }

    /// <summary>Of those, the namespaces enumerated in this pass.</summary>
    public int NamespacesDumped { get; init; }

    /// <summary>Sockets enumerated.</summary>
    public int Sockets { get; init; }

    /// <summary>Sockets whose own values were read.</summary>
    public int Read { get; init; }

    /// <summary>Processes seen.</summary>
    public int Processes { get; init; }

    /// <summary>Processes whose network namespace may not be read.</summary>
    public int InaccessibleProcesses { get; init; }

    /// <summary>Namespaces that could not be entered or dumped.</summary>
    public int NamespaceFailures { get; init; }

    /// <summary>The reason of one of these failures; null if it is unknown or none failed.</summary>
    public string? NamespaceFailure { get; init; }

    /// <summary>Namespaces that were not examined because their owner has too many.</summary>
    public int NamespacesLeftOut { get; init; }

    /// <summary>After the last pass: sockets with an agent's values, in namespaces that it did not examine.</summary>
    public int NotReached { get; init; }

    /// <summary>The number of sockets that were made to send a probe.</summary>
    public int Asked { get; init; }

    /// <summary>The number of sockets that later passes will ask, because there were too many for this one.</summary>
    public int NotAsked { get; init; }

    /// <summary>Whether there was not enough time for all sockets: the next pass continues.</summary>
    public bool IsCutShort { get; init; }

    /// <summary>The reason why the datapath cannot do all of its work; null if there is none.</summary>
    public string? Trouble { get; init; }

    /// <summary>New connections since the datapath began that were set but not reported, because too many came at once.</summary>
    public long Lost { get; init; }

    /// <summary>New connections since the datapath began that could not be set at once, because the kernel had no memory or refused a
    /// write: a pass set them.</summary>
    public long LeftToPasses { get; init; }

    /// <summary>The namespaces that could not be examined, in words; null if there are none.</summary>
    public string? NamespacesFailed => NamespaceFailures == 0 ? null
        : $"{Words.Count(NamespaceFailures, "network namespace")} could not be examined: {NamespaceFailure ?? "it is tried again in the next pass"}";

    /// <summary>The parts of the node that the pass did not reach, in words.</summary>
    public IEnumerable<string> Gaps => new[] { NamespacesFailed, Trouble }.OfType<string>();

    /// <summary>Time spent waiting to spread changes; it is not part of the cost of a pass.</summary>
    public TimeSpan Waited { get; init; }
}
