using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Sockets;
using Keepalive.Linux;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>Finds the sockets of a namespace that wait for the policy, and decides the outcome of those that are not found.</summary>
internal sealed class Settlement(OwnerSearch owners, SocketApplier applier, SocketLedger ledger, BulkSpread<FoundSocket> bulk)
{
    /// <summary>From this number of sockets on, they are many: it is a start or another policy, and not new connections alone.</summary>
    private const int Many = 64;

    private readonly List<TrackedSocket> _known = [];
    private readonly Dictionary<ulong, TrackedSocket> _wanted = [];
    private readonly Dictionary<ulong, TrackedSocket> _leftOver = [];
    private readonly List<TrackedSocket> _lost = [];

    /// <summary>Applies the policy to the sockets of a namespace that wait for it. Returns false if there was no time for all of
    /// them.</summary>
    public bool Settle(WatchedNamespace watched, PassContext pass)
    {
        if (!watched.HasUnsettled)
        {
            return true;
        }
        _known.Clear();
        _wanted.Clear();
        _leftOver.Clear();
        var everywhere = pass.Scope.Full;
        foreach (var socket in watched.Examined)
        {
            ref readonly var standing = ref socket.Standing;
            // A search is expensive: a socket that was not found is searched for less and less often.
            if (standing.IsUnsettled && !socket.IsGone && standing.NextTry <= pass.Number && ledger.CanBeSet(socket, pass.Scope))
            {
                if (socket.Reach.Pid != 0)
                {
                    _known.Add(socket);
                }
                else if (socket.Reach.IsLeftOver)
                {
                    _leftOver.Add(socket.Cookie, socket);
                }
                else
                {
                    _wanted.Add(socket.Cookie, socket);
                    everywhere |= standing.HasFailedOnce;
                }
            }
        }
        if (_known.Count == 0 && _wanted.Count == 0 && _leftOver.Count == 0)
        {
            return true;
        }
        var all = _known.Concat(_wanted.Values).Concat(_leftOver.Values).Select(socket => new FoundSocket(watched, socket));
        var areMany = _known.Count + _wanted.Count + _leftOver.Count >= Many;
        var isDone = Reach(watched, everywhere, pass, new ReachedSocket(applier, pass, watched, bulk.Collects(all, pass.Scope) ? bulk : null, areMany));
        Spare.Clear(_known);
        Spare.Clear(_wanted);
        Spare.Clear(_leftOver);
        Spare.Clear(_lost);
        return isDone;
    }

    private bool Reach(WatchedNamespace watched, bool everywhere, PassContext pass, ReachedSocket handler)
    {
        var isDone = true;
        _lost.Clear();
        _known.Sort(OwnerSearch.ByProcess);
        owners.Revisit(_known, _lost, ref handler);
        foreach (var socket in _lost)
        {
            _wanted.Add(socket.Cookie, socket);
        }
        // New sockets do not wait for the end of a search that takes many passes.
        if (_wanted.Count > 0)
        {
            owners.Search(watched, _wanted, _leftOver, everywhere, pass.Number, pass.Scope.Stop, ref handler);
            isDone = !owners.IsCutShort;
            Conclude(watched, _wanted, pass, begun: pass.Number);
        }
        if (_leftOver.Count > 0)
        {
            var begun = watched.Progress.GoOn(pass.Number);
            owners.GoOn(watched, _leftOver, pass.Number, pass.Scope.Stop, ref handler);
            isDone &= !owners.IsCutShort;
            Conclude(watched, _leftOver, pass, begun);
        }
        else
        {
            watched.Progress.Clear();
        }
        return isDone;
    }

    /// <summary>Sets the outcome of the sockets that were not found.</summary>
    private void Conclude(WatchedNamespace watched, Dictionary<ulong, TrackedSocket> missing, PassContext pass, long begun)
    {
        if (owners.IsCutShort)
        {
            // After the last or the only pass nothing continues the search, so it has failed.
            var isEnd = pass.Scope.Last || pass.Scope.Only;
            var (outcome, reason) = isEnd ? (SocketOutcome.Failed, FailureReasons.NoTime) : (SocketOutcome.Pending, (string?)null);
            foreach (var socket in missing.Values)
            {
                socket.Reach.LeaveOver(pass.Number);
                ledger.RunOutOfTime(socket, outcome, reason);
            }
            return;
        }
        AskForSubflows(watched, missing);
        var why = owners.IsBarred ? FailureReasons.StrayFiles : owners.DeniedBy != 0 ? Errno.Name(owners.DeniedBy) : FailureReasons.NoOwner;
        foreach (var socket in missing.Values)
        {
            ref var reach = ref socket.Reach;
            if (reach.LeftOverSince > begun)
            {
                continue;   // the first part of this search did not include it: the next search does
            }
            reach.EndSearch();
            ledger.Miss(socket, SocketOutcome.Unreachable, reach.Barrier ?? why);
        }
    }

    /// <summary>Finds out which of the sockets without an owner are subflows. Only a dump with details shows it, and each socket is
    /// checked once.</summary>
    private static void AskForSubflows(WatchedNamespace watched, Dictionary<ulong, TrackedSocket> missing)
    {
        if (missing.Values.All(socket => socket.Reach.Barrier is not null || socket.Reach.IsSubflowKnown))
        {
            return;
        }
        var visitor = new SubflowVisitor(missing);
        watched.Handle.Diag.Dump(TcpStates.Connections, details: true, ref visitor);
        foreach (var socket in missing.Values)
        {
            socket.Reach.IsSubflowKnown = true;
        }
    }

    private readonly struct SubflowVisitor(Dictionary<ulong, TrackedSocket> wanted) : ISockDiagVisitor
    {
        public void Visit(in DiagnosedSocket seen)
        {
            if (seen.IsMultipathSubflow && wanted.TryGetValue(seen.Cookie, out var socket))
            {
                socket.Reach.Barrier = FailureReasons.Multipath;
            }
        }
    }
}
