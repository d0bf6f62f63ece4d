using Keepalive.Agent.Apply.Tracking;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>Changes that would make many sockets probe together, spread over an interval: in slices, longest idle first.</summary>
internal sealed class BulkSpread(TimeProvider time, OwnerSearch owners, SocketApplier applier)
{
    private readonly List<TrackedSocket> _slice = [];
    private readonly List<TrackedSocket> _lost = [];

    /// <summary>What is to be applied at the end of the pass.</summary>
    public List<TrackedSocket> Sockets { get; } = [];

    /// <summary>Whether a namespace's changes are to be collected here instead of being applied at once.</summary>
    public bool Collects(IEnumerable<TrackedSocket> sockets, PassScope scope)
    {
        if (scope.SpreadOver <= TimeSpan.Zero)
        {
            return false;
        }
        return Sockets.Count + sockets.Count(socket => SpreadPace.IsPartOfBulk(socket, scope)) > SpreadPace.From;
    }

    /// <summary>Applies what was collected and returns how much time was spent waiting.</summary>
    public TimeSpan Apply(PassContext pass)
    {
        var slices = SpreadPace.Slices(pass.Scope);
        var pace = new SpreadPace(time, pass.Scope, slices);
        Sockets.Sort(static (a, b) => (b.Idle ?? 0).CompareTo(a.Idle ?? 0));
        var size = Math.Max(1, (Sockets.Count + slices - 1) / slices);
        var handler = new ReachedSocket(applier, pass, bulk: null);
        for (var from = 0; from < Sockets.Count && !pass.Scope.Stop.IsCancellationRequested; from += size)
        {
            pace.WaitFor(from / size);
            _slice.Clear();
            _slice.AddRange(Sockets.GetRange(from, Math.Min(size, Sockets.Count - from)));
            _slice.Sort(OwnerSearch.ByProcess);
            _lost.Clear();
            owners.Revisit(_slice, _lost, ref handler);
            foreach (var socket in _slice)
            {
                // One that was lost on the way is looked for again in the next pass.
                if (!socket.Unsettled)
                {
                    pass.Report(socket);
                }
            }
        }
        Sockets.Clear();
        return pace.Waited;
    }
}
