using Keepalive.Agent.Apply.Tracking;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>Applies the policy to a socket that was reached, or, where a bulk is being collected, only notes where it is.</summary>
/// <param name="applier">Writes and reads back.</param>
/// <param name="pass">The pass it belongs to.</param>
/// <param name="bulk">Where long idle sockets are put aside; null applies to all at once.</param>
internal readonly struct ReachedSocket(SocketApplier applier, PassContext pass, List<TrackedSocket>? bulk) : IReachedSocket
{
    public void Reached(in DuplicatedSocket descriptor, TrackedSocket socket)
    {
        if (bulk is not null && SpreadPace.IsPartOfBulk(socket, pass.Scope))
        {
            bulk.Add(socket);
        }
        else
        {
            applier.Apply(in descriptor, socket, pass.Policy, pass.Scope);
        }
    }

    public void EndProcess() => applier.Confirm();
}
