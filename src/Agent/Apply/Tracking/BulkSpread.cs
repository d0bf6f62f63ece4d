using Keepalive.Linux;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>A decided change of a socket, which may be deferred.</summary>
internal interface ISocketChange
{
    /// <summary>The socket's namespace.</summary>
    WatchedNamespace Watched { get; }

    TrackedSocket Socket { get; }

    /// <summary>Whether the socket has been idle for so long that it probes as soon as it is changed. If many such sockets were changed at
    /// once, they would probe together. The others probe at times of their own, whenever they are changed, so none of them waits.</summary>
    /// <param name="spreadOver">The time over which changes are spread. A socket counts if it has been idle for that long and it is
    /// unknown when it probes.</param>
    bool ProbesAtOnce(TimeSpan spreadOver);
}

/// <summary>Spreads changes over an interval that would make many sockets probe together: in slices, longest idle first.</summary>
/// <param name="time">The clock.</param>
/// <param name="byNamespace">Whether a slice belongs to one namespace, because each slice costs a run over its namespace. A large
/// namespace is cut into slices; a small one is one slice.</param>
/// <param name="write">Makes the changes of a slice.</param>
internal sealed class BulkSpread<TChange>(TimeProvider time, bool byNamespace, Action<TChange[], PassContext> write)
    where TChange : struct, ISocketChange
{
    /// <summary>Up to this many changes in one pass are not spread.</summary>
    private const int From = 256;

    private readonly List<TChange> _changes = [];

    /// <summary>Whether the changes of sockets that probe at once wait for the end of the pass, because there are many of them.</summary>
    public bool Collects(IEnumerable<TChange> changes, PassScope scope) =>
        scope.SpreadOver > TimeSpan.Zero && _changes.Count + changes.Count(change => change.ProbesAtOnce(scope.SpreadOver)) > From;

    /// <summary>Moves the changes that wait from the list of a namespace's changes to the bulk.</summary>
    public void Collect(List<TChange> changes, PassScope scope)
    {
        if (Collects(changes, scope))
        {
            _changes.AddRange(changes.Where(change => change.ProbesAtOnce(scope.SpreadOver)));
            changes.RemoveAll(change => change.ProbesAtOnce(scope.SpreadOver));
        }
    }

    /// <summary>Adds a change to the bulk. Returns false if its socket does not probe at once, and so is not part of a bulk.</summary>
    public bool TryAdd(TChange change, PassScope scope)
    {
        var isPart = change.ProbesAtOnce(scope.SpreadOver);
        if (isPart)
        {
            _changes.Add(change);
        }
        return isPart;
    }

    /// <summary>Makes the collected changes and returns the time spent waiting.</summary>
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
        // A start collects the changes of all sockets once.
        Spare.Clear(_changes);
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
            // The next pass decides again.
        }
        foreach (var change in slice)
        {
            // A socket that is still unsettled was not changed: the next pass decides about it again.
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
