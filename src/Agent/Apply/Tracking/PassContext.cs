using Keepalive.Agent.Policies;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>What is the same throughout one pass.</summary>
/// <param name="Number">Counts passes; a socket that is put off names the pass of its next try.</param>
/// <param name="Policy">What is in force.</param>
/// <param name="Scope">How much to look at and what is allowed.</param>
/// <param name="Sink">Who is told.</param>
internal sealed record PassContext(long Number, PolicySnapshot Policy, PassScope Scope, ISocketSink Sink)
{
    /// <summary>The pass as it is in one namespace.</summary>
    public PassContext In(WatchedNamespace watched) => watched.Exemption switch
    {
        Exemption.None => this,
        Exemption.NotKnown when !Scope.Last => this with { Policy = PolicySnapshot.Undecided },
        _ => this with { Policy = PolicySnapshot.Empty },
    };

    /// <summary>Reports a socket as it stands. What a pass did to it is told once.</summary>
    public void Report(TrackedSocket socket)
    {
        Sink.Socket(socket.ToRecord());
        socket.Standing.Told();
    }
}
