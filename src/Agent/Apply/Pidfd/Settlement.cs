using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Sockets;
using Keepalive.Linux;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>Brings the policy to bear on the sockets of a namespace that wait for it, and says when the others are tried again.</summary>
internal sealed class Settlement(OwnerSearch owners, SocketApplier applier, BulkSpread bulk)
{
    private readonly List<TrackedSocket> _known = [];
    private readonly Dictionary<ulong, TrackedSocket> _wanted = [];
    private readonly Dictionary<ulong, TrackedSocket> _leftOver = [];
    private readonly List<TrackedSocket> _lost = [];

    public void Settle(WatchedNamespace watched, PassContext pass)
    {
        _known.Clear();
        _wanted.Clear();
        _leftOver.Clear();
        var everywhere = pass.Scope.Full;
        foreach (var socket in watched.Sockets.Values)
        {
            if (socket.Unsettled && socket.NextTry <= pass.Number && CanBeReached(socket, pass.Scope))
            {
                if (socket.Pid != 0)
                {
                    _known.Add(socket);
                }
                else if (socket.IsLeftOver)
                {
                    _leftOver.Add(socket.Cookie, socket);
                }
                else
                {
                    _wanted.Add(socket.Cookie, socket);
                    everywhere |= socket.Attempts == 1;
                }
            }
        }
        if (_known.Count > 0 || _wanted.Count > 0 || _leftOver.Count > 0)
        {
            var collect = bulk.Collects(_known.Concat(_wanted.Values).Concat(_leftOver.Values), pass.Scope);
            Reach(watched, everywhere, pass, new ReachedSocket(applier, pass, collect ? bulk.Sockets : null));
        }
        watched.NextTry = long.MaxValue;
        foreach (var socket in watched.Sockets.Values)
        {
            if (socket.Unsettled)
            {
                socket.PutOff(pass.Number);
                watched.NextTry = Math.Min(watched.NextTry, socket.NextTry);
            }
        }
    }

    private void Reach(WatchedNamespace watched, bool everywhere, PassContext pass, ReachedSocket handler)
    {
        _lost.Clear();
        _known.Sort(OwnerSearch.ByProcess);
        owners.Revisit(_known, _lost, ref handler);
        foreach (var socket in _lost)
        {
            _wanted.Add(socket.Cookie, socket);
        }
        // What is new does not wait for the end of a search that takes many passes.
        if (_wanted.Count > 0)
        {
            owners.Search(watched, _wanted, everywhere, pass.Number, pass.Scope.Stop, ref handler);
            Conclude(watched, _wanted, pass, begun: pass.Number);
        }
        if (_leftOver.Count > 0)
        {
            var begun = watched.Progress.GoOn(pass.Number);
            owners.GoOn(watched, _leftOver, pass.Number, pass.Scope.Stop, ref handler);
            Conclude(watched, _leftOver, pass, begun);
        }
        else
        {
            watched.Progress.Clear();
        }
    }

    /// <summary>What becomes of those that were not found.</summary>
    private void Conclude(WatchedNamespace watched, Dictionary<ulong, TrackedSocket> missing, PassContext pass, long begun)
    {
        if (owners.IsCutShort)
        {
            foreach (var socket in missing.Values)
            {
                // What no pass goes on with has failed.
                var isEnd = pass.Scope.Last || pass.Scope.Only;
                (socket.LeftOverSince, socket.Attempts) = (socket.LeftOverSince ?? pass.Number, 0);
                (socket.Outcome, socket.Reason) = isEnd ? (SocketOutcome.Failed, FailureReasons.NoTime) : (SocketOutcome.Pending, null);
            }
            return;
        }
        AskForSubflows(watched, missing);
        foreach (var socket in missing.Values)
        {
            if (socket.LeftOverSince > begun)
            {
                continue;   // it was not looked for in the first part of this search: the next one is for it, too
            }
            (socket.LeftOverSince, socket.Outcome) = (null, SocketOutcome.Unreachable);
            socket.Reason = socket.IsMultipath ? FailureReasons.Multipath : owners.IsBarred ? FailureReasons.StrayFiles : owners.DeniedBy != 0 ? Errno.Name(owners.DeniedBy) : FailureReasons.NoOwner;
        }
    }

    /// <summary>Finds out which of the sockets without an owner are subflows: only a dump with details says, and each socket is asked for once.</summary>
    private static void AskForSubflows(WatchedNamespace watched, Dictionary<ulong, TrackedSocket> missing)
    {
        if (missing.Values.All(socket => socket.IsMultipath || socket.IsMultipathKnown))
        {
            return;
        }
        var visitor = new SubflowVisitor(missing);
        watched.Handle.Diag.Dump(TcpStates.Connections, details: true, ref visitor);
        foreach (var socket in missing.Values)
        {
            socket.IsMultipathKnown = true;
        }
    }

    private static bool CanBeReached(TrackedSocket socket, PassScope scope)
    {
        if (socket.IsMultipath)
        {
            socket.Outcome = SocketOutcome.Unreachable;
            socket.Reason = FailureReasons.Multipath;
            return false;
        }
        if (socket.State is TcpState.Established or TcpState.CloseWait or TcpState.FinWait1 or TcpState.FinWait2
            || (scope.ReadAll && socket.State == TcpState.Listen))
        {
            if (socket.Inode != 0)
            {
                return true;
            }
            socket.Reason = FailureReasons.NotAccepted;
        }
        // Connecting, or waiting to be accepted.
        socket.Outcome = socket.Rule is null ? SocketOutcome.Unmanaged : SocketOutcome.Pending;
        return false;
    }

    private readonly struct SubflowVisitor(Dictionary<ulong, TrackedSocket> wanted) : ISockDiagVisitor
    {
        public void Visit(in DiagnosedSocket seen)
        {
            if (seen.IsMultipathSubflow && wanted.TryGetValue(seen.Cookie, out var socket))
            {
                socket.IsMultipath = true;
            }
        }
    }
}
