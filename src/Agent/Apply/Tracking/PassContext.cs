using Keepalive.Agent.Policies;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>The data that stays the same throughout one pass.</summary>
/// <param name="Number">The number of the pass. A deferred socket names the pass of its next try.</param>
/// <param name="Policy">The policy in force.</param>
/// <param name="Scope">How much to examine, and which changes are allowed.</param>
/// <param name="Sink">Receives the records.</param>
internal sealed record PassContext(long Number, PolicySnapshot Policy, PassScope Scope, ISocketSink Sink)
{
    /// <summary>Returns the pass with the policy that applies to one namespace.</summary>
    public PassContext In(WatchedNamespace watched) =>
        PolicyUnder(watched.Standing) is var policy && ReferenceEquals(policy, Policy) ? this : this with { Policy = policy };

    /// <summary>Returns the policy that applies to the connections of a workload.</summary>
    public PolicySnapshot PolicyUnder(ClientStanding standing) => standing.Exemption switch
    {
        Exemption.None => Policy.For(standing.Client),
        Exemption.NotKnown when !Scope.Last => PolicySnapshot.Undecided,
        _ => PolicySnapshot.Empty,
    };

    /// <summary>Reports the present state of a socket. A change is reported once.</summary>
    /// <param name="socket">The socket.</param>
    /// <param name="asked">Whether it was made to send a probe in this pass.</param>
    public void Report(TrackedSocket socket, bool asked = false)
    {
        Sink.Socket(socket.ToRecord(asked));
        socket.Told(Scope.DryRun);
    }
}
