using Keepalive.Agent.Apply.Tracking;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>Applies the policy to a socket that was reached. While a bulk is being collected, an idle socket is added to the bulk
/// instead.</summary>
/// <param name="applier">Writes and reads back.</param>
/// <param name="pass">The pass it belongs to.</param>
/// <param name="watched">The namespace, if a bulk is being collected.</param>
/// <param name="bulk">Collects idle sockets; null applies the policy to all at once.</param>
/// <param name="areMany">Whether many sockets may have to be written.</param>
/// <param name="isAudit">Whether nothing has to be done to a socket that has the values that were last read from it.</param>
internal readonly struct ReachedSocket(
    SocketApplier applier, PassContext pass, WatchedNamespace? watched = null, BulkSpread<FoundSocket>? bulk = null, bool areMany = false,
    bool isAudit = false) : IReachedSocket
{
    public bool Reached(in DuplicatedSocket descriptor, TrackedSocket socket) =>
        (bulk is null || !bulk.TryAdd(new FoundSocket(watched!, socket), pass.Scope)) && applier.Apply(in descriptor, socket, pass, areMany);

    public bool IsDone(in DuplicatedSocket descriptor, TrackedSocket socket) => isAudit && applier.IsUnchanged(in descriptor, socket);

    public void EndProcess() => applier.EndProcess();
}
