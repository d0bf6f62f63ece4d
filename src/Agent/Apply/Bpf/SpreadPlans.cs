using Keepalive.Agent.Apply.Tracking;
using Keepalive.Linux;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>Changes that would make many sockets probe together, spread over an interval: in slices, longest idle first.</summary>
/// <remarks>Each slice is of one namespace, as each costs a run over it: a large namespace is cut, small ones are slices themselves.</remarks>
internal sealed class SpreadPlans(TimeProvider time, PlanRunner runner)
{
    private readonly List<PlannedChange> _changes = [];

    /// <summary>Takes those of a namespace's changes that are to wait out of the list.</summary>
    public void Collect(List<PlannedChange> changes, PassScope scope)
    {
        if (scope.SpreadOver <= TimeSpan.Zero)
        {
            return;
        }
        // Ones just made are no bulk, however many: nothing is due on them.
        var waiting = changes.FindAll(change => IsPartOfBulk(change, scope));
        if (_changes.Count + waiting.Count > SpreadPace.From)
        {
            _changes.AddRange(waiting);
            changes.RemoveAll(change => IsPartOfBulk(change, scope));
        }
    }

    /// <summary>Applies what was collected and returns how much time was spent waiting.</summary>
    public TimeSpan Apply(PassContext pass)
    {
        var slices = Cut(SpreadPace.Slices(pass.Scope));
        var pace = new SpreadPace(time, pass.Scope, slices.Count);
        for (var i = 0; i < slices.Count && !pass.Scope.Stop.IsCancellationRequested; i++)
        {
            pace.WaitFor(i);
            try
            {
                runner.Run(slices[i], pass.Scope);
            }
            catch (LinuxException)
            {
                // Decided again in the next pass.
            }
            foreach (var change in slices[i])
            {
                // One that was lost on the way is decided about again in the next pass.
                if (!change.Socket.Unsettled)
                {
                    pass.Report(change.Socket);
                }
            }
        }
        foreach (var change in _changes)
        {
            if (change.Socket.Unsettled)
            {
                change.Watched.NextTry = pass.Number + 1;
            }
        }
        _changes.Clear();
        return pace.Waited;
    }

    /// <summary>A socket whose idle time is not known may have been idle for long.</summary>
    private static bool IsPartOfBulk(PlannedChange change, PassScope scope) => change.Socket.Idle is null || SpreadPace.IsPartOfBulk(change.Socket, scope);

    private List<PlannedChange[]> Cut(int most)
    {
        var slices = new List<PlannedChange[]>();
        foreach (var ofOne in _changes.GroupBy(change => change.Watched))
        {
            PlannedChange[] sorted = [.. ofOne.OrderByDescending(change => change.Socket.Idle ?? 0)];
            var count = (int)Math.Ceiling((double)most * sorted.Length / _changes.Count);
            slices.AddRange(sorted.Chunk((sorted.Length + count - 1) / count));
        }
        slices.Sort(static (a, b) => (b[0].Socket.Idle ?? 0).CompareTo(a[0].Socket.Idle ?? 0));
        return slices;
    }
}
