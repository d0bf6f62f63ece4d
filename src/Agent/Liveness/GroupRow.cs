using System.Runtime.CompilerServices;
using Keepalive.Agent.Sockets;
using Keepalive.Config.Compilation;

namespace Keepalive.Agent.Liveness;

/// <summary>The connections of one workload that one rule selects, added up. Times are in nanoseconds.</summary>
/// <param name="workload">The workload.</param>
/// <param name="rule">The rule.</param>
internal sealed class GroupRow(string workload, CompiledRule rule)
{
    private const long Second = 1_000_000_000;

    /// <summary>How long a connection counts as recently set.</summary>
    public const long Recently = 300 * Second;

    /// <summary>Few rules have many connections, so rules are compared by reference.</summary>
    public static IEqualityComparer<(string Workload, CompiledRule Rule)> SameRule { get; } = new ByReference();

    public string Workload => workload;

    public CompiledRule Rule => rule;

    public int Connections { get; private set; }

    /// <summary>Connections that have the policy's values.</summary>
    public int Managed { get; private set; }

    /// <summary>Connections that keep values of their application.</summary>
    public int Kept { get; private set; }

    /// <summary>Connections that could not be set.</summary>
    public int Failed { get; private set; }

    /// <summary>Connections that nothing probes.</summary>
    public int Unprotected { get; private set; }

    /// <summary>Why a connection could not be set; null if all could.</summary>
    public string? Reason { get; private set; }

    /// <summary>Connections with unanswered probes.</summary>
    public int Probing { get; private set; }

    /// <summary>The most unanswered probes of one connection.</summary>
    public int Unanswered { get; private set; }

    /// <summary>The unanswered probes after which the kernel ends that connection; null if unknown.</summary>
    public int? EndsAfter { get; private set; }

    /// <summary>The earliest next probe, and the length of the whole wait for it; null if none is due.</summary>
    public (long In, long Every)? NextProbe { get; private set; }

    /// <summary>The longest round-trip time in microseconds; 0 if unknown.</summary>
    public int RoundTrip { get; private set; }

    /// <summary>Connections that were set in the last five minutes.</summary>
    public int RecentlySet { get; private set; }

    /// <summary>A process; 0 if none is known.</summary>
    public int Pid { get; private set; }

    /// <summary>Whether there are other processes.</summary>
    public bool HasMorePids { get; private set; }

    public void Add(WatchedConnection connection, long now)
    {
        Connections++;
        Managed += connection.Outcome is SocketOutcome.Managed or SocketOutcome.Deferred ? 1 : 0;
        Kept += connection.Outcome is SocketOutcome.Kept or SocketOutcome.Application ? 1 : 0;
        if (connection.Outcome is SocketOutcome.Failed or SocketOutcome.Unreachable)
        {
            Failed++;
            Reason ??= connection.Reason;
        }
        Unprotected += connection.IsUnprotected ? 1 : 0;
        if (connection.State is { Phase: LivenessPhase.Probing, Unanswered: > 0 and var unanswered })
        {
            Probing++;
            if (unanswered > Unanswered)
            {
                (Unanswered, EndsAfter) = (unanswered, connection.Limit.Probes is > 0 and < int.MaxValue and var limit ? limit : null);
            }
        }
        if (connection.NextProbe(now) is { } next && (NextProbe is not { } earliest || next.In < earliest.In))
        {
            NextProbe = next;
        }
        RoundTrip = Math.Max(RoundTrip, connection.RoundTrip);
        RecentlySet += connection.SetAt != 0 && now - connection.SetAt <= Recently ? 1 : 0;
        if (connection.Pid != 0 && connection.Pid != Pid)
        {
            HasMorePids |= Pid != 0;
            Pid = Pid == 0 ? connection.Pid : Math.Min(Pid, connection.Pid);
        }
    }

    private sealed class ByReference : IEqualityComparer<(string Workload, CompiledRule Rule)>
    {
        public bool Equals((string Workload, CompiledRule Rule) a, (string Workload, CompiledRule Rule) b) =>
            ReferenceEquals(a.Rule, b.Rule) && a.Workload == b.Workload;

        public int GetHashCode((string Workload, CompiledRule Rule) key) => HashCode.Combine(key.Workload, RuntimeHelpers.GetHashCode(key.Rule));
    }
}
