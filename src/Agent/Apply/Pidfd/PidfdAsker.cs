using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>Makes sockets send a probe through the descriptors of their processes.</summary>
/// <param name="owners">Reaches the sockets.</param>
/// <param name="ledger">Notes each change.</param>
/// <param name="lost">Called for each socket that was not found at its last known place. Nothing was written to it.</param>
internal sealed class PidfdAsker(OwnerSearch owners, SocketLedger ledger, Action<TrackedSocket, PassContext> lost) : IAsker
{
    private readonly List<TrackedSocket> _sockets = [];
    private readonly List<TrackedSocket> _lost = [];
    private readonly Dictionary<TrackedSocket, AskedSocket> _asked = [];

    public void Begin(List<AskedSocket> sockets, PassContext pass)
    {
        var handler = new Beginning(_asked, ledger);
        Reach(sockets, AskState.Planned, ref handler);
        _lost.ForEach(socket => lost(socket, pass));
    }

    public void End(List<AskedSocket> sockets, bool isLast)
    {
        var handler = new Ending(_asked, ledger, isLast);
        Reach(sockets, AskState.Written, ref handler);
    }

    private void Reach<THandler>(List<AskedSocket> sockets, AskState state, ref THandler handler)
        where THandler : struct, IReachedSocket
    {
        _asked.Clear();
        _sockets.Clear();
        _lost.Clear();
        foreach (var asked in sockets)
        {
            if (asked.State == state && asked.Socket.Reach.Pid != 0)
            {
                _asked.Add(asked.Socket, asked);
                _sockets.Add(asked.Socket);
            }
        }
        _sockets.Sort(OwnerSearch.ByProcess);
        owners.Revisit(_sockets, _lost, ref handler);
    }

    private readonly struct Beginning(Dictionary<TrackedSocket, AskedSocket> asked, SocketLedger ledger) : IReachedSocket
    {
        public bool IsDone(in DuplicatedSocket descriptor, TrackedSocket socket) => false;

        public bool Reached(in DuplicatedSocket descriptor, TrackedSocket socket)
        {
            var one = asked[socket];
            if (descriptor.TryGetOptions(out var values) != 0 || values != one.Values || descriptor.TryGetUserTimeout(out var timeout) != 0)
            {
                return false;
            }
            socket.Standing.Read(OwnValues.None, timeout);
            if (timeout == one.UserTimeout && descriptor.TryGetInfo(out var info) == 0 && one.MayBeAsked(in info) && ledger.TryBeginAsk(one)
                && descriptor.TrySetTime(one.Asking.Time) != 0)
            {
                ledger.WithdrawAsk(one);
            }
            return false;
        }

        public void EndProcess()
        {
        }
    }

    private readonly struct Ending(Dictionary<TrackedSocket, AskedSocket> asked, SocketLedger ledger, bool isLast) : IReachedSocket
    {
        public bool IsDone(in DuplicatedSocket descriptor, TrackedSocket socket) => false;

        public bool Reached(in DuplicatedSocket descriptor, TrackedSocket socket)
        {
            var one = asked[socket];
            if (descriptor.TryGetInfo(out var info) != 0 || descriptor.TryGetOptions(out var values) != 0)
            {
                return false;
            }
            one.Saw(info.Unanswered, info.Idle);
            if (values == one.Asking)
            {
                if (!one.HasProbed && !isLast)
                {
                    return false;
                }
                ledger.IntendBack(one);
                if (descriptor.TrySetTime(one.Values.Time) != 0 || descriptor.TryGetOptions(out values) != 0)
                {
                    return false;
                }
            }
            ledger.EndAsk(one, values);
            return false;
        }

        public void EndProcess()
        {
        }
    }
}
