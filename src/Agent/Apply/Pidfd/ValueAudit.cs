using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Sockets;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>Reads the values of tracked sockets again in rotation: nothing else shows that an application has changed them.</summary>
internal sealed class ValueAudit(TimeProvider time, TimeSpan period, OwnerSearch owners, SocketApplier applier)
{
    /// <summary>Up to this many sockets, those that are gone stay in the rotation until their turn.</summary>
    private const int LeastToSweep = 1024;

    private readonly Queue<TrackedSocket> _rotation = new();
    private readonly List<TrackedSocket> _share = [];
    private readonly List<SocketOutcome> _outcomes = [];
    private readonly List<TrackedSocket> _lost = [];
    private long _lastAt = time.GetTimestamp();
    private int _sweepAt = LeastToSweep;

    public void Add(TrackedSocket socket)
    {
        if (_rotation.Count >= _sweepAt)
        {
            Sweep();
        }
        _rotation.Enqueue(socket);
    }

    /// <summary>Reads as many sockets as are needed to read each one once in a period. The next pass looks for those that are not found
    /// any more.</summary>
    public void Read(PassContext pass, Action<TrackedSocket> lost)
    {
        var share = Math.Min(1, time.GetElapsedTime(_lastAt) / period);
        _lastAt = time.GetTimestamp();
        if (pass.Scope.Full)
        {
            return;   // a full pass reads all of them
        }
        _share.Clear();
        for (var n = (int)Math.Ceiling(_rotation.Count * share); n > 0 && _rotation.TryDequeue(out var socket); n--)
        {
            if (!socket.IsGone)
            {
                _rotation.Enqueue(socket);
                if (!socket.Standing.IsUnsettled && socket.Reach.Pid != 0 && socket.Standing.Memory is not { IsAsk: true })
                {
                    _share.Add(socket);
                }
            }
        }
        if (_share.Count == 0)
        {
            return;
        }
        var handler = new ReachedSocket(applier, pass, isAudit: true);
        _lost.Clear();
        _share.Sort(OwnerSearch.ByProcess);
        _outcomes.Clear();
        _share.ForEach(socket => _outcomes.Add(socket.Standing.Outcome));
        owners.Revisit(_share, _lost, ref handler);
        for (var i = 0; i < _share.Count; i++)
        {
            ref readonly var standing = ref _share[i].Standing;
            if (standing.Outcome != _outcomes[i] || standing.Replaced is not null)
            {
                pass.Report(_share[i]);
            }
        }
        _lost.ForEach(lost);
    }

    /// <summary>Drops sockets that are gone, each time there are twice as many as remained the last time. With thousands of short
    /// connections, it would be long until their turn.</summary>
    private void Sweep()
    {
        for (var n = _rotation.Count; n > 0; n--)
        {
            if (_rotation.Dequeue() is { IsGone: false } socket)
            {
                _rotation.Enqueue(socket);
            }
        }
        _sweepAt = Math.Max(LeastToSweep, 2 * _rotation.Count);
    }
}
