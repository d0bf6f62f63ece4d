using Keepalive.Linux;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>A change to a socket that is to be made, and may wait.</summary>
internal interface ISocketChange
{
    /// <summary>The socket's namespace.</summary>
    WatchedNamespace Watched { get; }

    TrackedSocket Socket { get; }

    /// <summary>Whether it would probe together with others, were they all changed at once: whether it has been idle for that long. Ones just made are
    /// no bulk, however many: nothing is due on them.</summary>
    bool IsIdleFor(TimeSpan time);
}

/// <summary>Changes that would make many sockets probe together, spread over an interval: in slices, longest idle first.</summary>
/// <param name="time">The clock.</param>
/// <param name="byNamespace">Whether a slice is of one namespace, as each costs a run over it: a large namespace is cut, small ones are slices
/// themselves.</param>
/// <param name="write">Makes the changes of a slice.</param>
internal sealed class BulkSpread<TChange>(TimeProvider time, bool byNamespace, Action<TChange[], PassContext> write)
    where TChange : struct, ISocketChange
{
    /// <summary>Changes up to this many in one pass are not spread.</summary>
    private const int From = 256;

    private readonly List<TChange> _changes = [];

    /// <summary>Whether those of a namespace's changes that may be part of a bulk are to wait for the end of the pass.</summary>
    public bool Collects(IEnumerable<TChange> changes, PassScope scope) =>
        scope.SpreadOver > TimeSpan.Zero && _changes.Count + changes.Count(change => change.IsIdleFor(scope.SpreadOver)) > From;

    /// <summary>Takes those of a namespace's changes that are to wait out of the list.</summary>
    public void Collect(List<TChange> changes, PassScope scope)
    {
        if (Collects(changes, scope))
        {
            _changes.AddRange(changes.Where(change => change.IsIdleFor(scope.SpreadOver)));
            changes.RemoveAll(change => change.IsIdleFor(scope.SpreadOver));
        }
    }

    /// <summary>Takes in a change that is to wait; false where it is none that may be part of a bulk.</summary>
    public bool TryAdd(TChange change, PassScope scope)
    {
        var isPart = change.IsIdleFor(scope.SpreadOver);
        if (isPart)
        {
            _changes.Add(change);
        }
        return isPart;
    }

    /// <summary>Makes the changes that were collected and returns how much time was spent waiting.</summary>
    public TimeSpan Apply(PassContext pass)
    {
        if (_changes.Count == 0)
        {
            return TimeSpan.Zero;
        }
        var slices = Cut(SpreadPace.Slices(pass.Scope));
        var pace = new SpreadPace(time, pass.Scope, slices.Count);
        for (var i = 0; i < slices.Count && !pass.Scope.Stop.IsCancellationRequested; i++)
        {
            pace.WaitFor(i);
            Apply(slices[i], pass);
        }
        foreach (var change in _changes)
        {
            if (change.Socket.Standing.IsUnsettled)
            {
                change.Watched.NextTry = pass.Number + 1;
            }
        }
        _changes.Clear();
        return pace.Waited;
    }

    private void Apply(TChange[] slice, PassContext pass)
    {
        try
        {
            write(slice, pass);
        }
        catch (LinuxException)
        {
            // Decided again in the next pass.
        }
        foreach (var change in slice)
        {
            // One that was lost on the way is decided about again in the next pass.
            if (!change.Socket.Standing.IsUnsettled)
            {
                pass.Report(change.Socket);
            }
        }
    }

    private List<TChange[]> Cut(int most)
    {
        var slices = new List<TChange[]>();
        foreach (var together in _changes.GroupBy(change => byNamespace ? change.Watched : null))
        {
            TChange[] sorted = [.. together.OrderByDescending(Idle)];
            var count = (int)Math.Ceiling((double)most * sorted.Length / _changes.Count);
            slices.AddRange(sorted.Chunk((sorted.Length + count - 1) / count));
        }
        slices.Sort(static (a, b) => Idle(b[0]).CompareTo(Idle(a[0])));
        return slices;
    }

    private static uint Idle(TChange change) => change.Socket.Seen.Idle ?? 0;
}
