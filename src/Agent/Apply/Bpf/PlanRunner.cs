using Keepalive.Agent.Apply.Tracking;
using Keepalive.Linux;
using Keepalive.Linux.Bpf;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>Has the kernel make planned changes, all those of a namespace in one run, and records the outcome of each.</summary>
/// <remarks>
/// <code>
///   state file: intent ──► queue or map: cookie → (expected, wanted) ──► run ──► under the socket's lock: still as expected? write, read back
///                                                                         └────► one outcome for each socket found ──► state file: ok
/// </code>
/// If the agent is killed in between, each socket is either unchanged or completely written. Its intent is noted in both cases. Many changes in the
/// order of a walk go through a queue; those that the walk does not find there, because the order has changed, go through the map.
/// </remarks>
internal sealed class PlanRunner(KernelPrograms kernel, NamespaceThread namespaces, SocketLedger ledger)
{
    /// <summary>The number of plans for which the queue has room, and the map always has.</summary>
    private const int AtOnce = PlanQueue.Most;

    /// <summary>From this number on, changes go through the queue. If a socket is gone, that may cost another walk.</summary>
    private const int Many = 64;

    /// <summary>The number of plans in a part if time is limited. A part takes some milliseconds; then the clock is checked.</summary>
    private const int AtATime = 2048;

    /// <summary>The number of intents that are noted in one write.</summary>
    private const int NotedTogether = 256;

    private readonly ulong[] _keys = new ulong[NotedTogether];
    private readonly BpfAbi.ka_plan[] _plans = new BpfAbi.ka_plan[NotedTogether];
    private readonly BpfAbi.ka_queued[] _queued = new BpfAbi.ka_queued[NotedTogether];
    private readonly PlanQueue _queue = new(kernel);
    private readonly Dictionary<ulong, int> _open = [];

    /// <summary>Makes changes of sockets of one namespace.</summary>
    /// <param name="changes">The changes.</param>
    /// <param name="scope">Which changes are allowed.</param>
    /// <param name="hasTime">Whether there is time for more; null if there is time for all.</param>
    /// <param name="inOrder">Whether they have the order in which the sockets were read. It saves time, and may be wrong.</param>
    /// <returns>The number of changes that were handled: made, or not made because the socket no longer had the expected state. The first
    /// part is always handled.</returns>
    /// <exception cref="LinuxException">The kernel did not complete the run. Changes that may have been made are noted as
    /// such.</exception>
    public int Run(ReadOnlySpan<PlannedChange> changes, PassScope scope, Func<bool>? hasTime = null, bool inOrder = false)
    {
        var most = hasTime is null ? AtOnce : AtATime;
        var done = 0;
        while (done < changes.Length && (done == 0 || hasTime is null || hasTime()))
        {
            var count = Math.Min(most, changes.Length - done);
            RunPart(changes.Slice(done, count), scope, inOrder && count >= Many);
            done += count;
        }
        return done;
    }

    private void RunPart(ReadOnlySpan<PlannedChange> changes, PassScope scope, bool isQueued)
    {
        _open.EnsureCapacity(changes.Length);
        ledger.BeginBulk();
        try
        {
            Plan(changes, scope, isQueued);
            if (isQueued)
            {
                _queue.Begin();
                Walk(changes, scope);
                _queue.End();
                PlanOthers(changes, scope);
            }
            Walk(changes, scope);
            Withdraw(changes);
        }
        catch (LinuxException)
        {
            foreach (var i in _open.Values)
            {
                SocketLedger.Doubt(changes[i].Socket, changes[i].Decision.From, changes[i].Decision.Verdict);
            }
            kernel.Plans.Clear();
            throw;
        }
        finally
        {
            _queue.Clear();
            ledger.EndBulk();
            Spare.Clear(_open);
        }
    }

    /// <summary>Has the kernel carry out the plans that have no outcome yet.</summary>
    private void Walk(ReadOnlySpan<PlannedChange> changes, PassScope scope)
    {
        if (_open.Count > 0)
        {
            using var run = namespaces.Begin(changes[0].Watched.Handle, kernel.Applier);
            var visitor = new Visitor(this, changes, scope);
            BpfIterator.Read<BpfAbi.ka_outcome, Visitor>(run, ref visitor);
        }
    }

    private void Plan(ReadOnlySpan<PlannedChange> changes, PassScope scope, bool isQueued)
    {
        for (var from = 0; from < changes.Length; from += NotedTogether)
        {
            Plan(changes, from, Math.Min(from + NotedTogether, changes.Length), scope, isQueued);
        }
    }

    /// <summary>Notes the intents of some of the changes, and plans those that are noted.</summary>
    private void Plan(ReadOnlySpan<PlannedChange> changes, int from, int to, PassScope scope, bool isQueued)
    {
        for (var i = from; i < to; i++)
        {
            ledger.Plan(changes[i].Socket, changes[i].Decision.From, in changes[i].Decision.Verdict);
        }
        var areNoted = ledger.TryWritePlans();
        var count = 0;
        for (var i = from; i < to; i++)
        {
            var (socket, decision) = (changes[i].Socket, changes[i].Decision);
            if ((areNoted || ledger.TryIntend(socket, decision.From, decision.Verdict)) && _open.TryAdd(socket.Cookie, i))
            {
                (_keys[count], _plans[count]) = (socket.Cookie, PlanOf(decision, scope));
                _queued[count] = new BpfAbi.ka_queued { cookie = _keys[count], plan = _plans[count] };
                count++;
            }
        }
        if (isQueued)
        {
            _queue.Add(_queued.AsSpan(0, count));
        }
        else
        {
            AddToMap(count);
        }
    }

    /// <summary>Puts the plans that the queue had, and that have no outcome, into the map. They are noted already.</summary>
    private void PlanOthers(ReadOnlySpan<PlannedChange> changes, PassScope scope)
    {
        var count = 0;
        foreach (var (cookie, i) in _open)
        {
            (_keys[count], _plans[count]) = (cookie, PlanOf(changes[i].Decision, scope));
            if (++count == NotedTogether)
            {
                AddToMap(count);
                count = 0;
            }
        }
        AddToMap(count);
    }

    private void AddToMap(int count) => kernel.Plans.Update<ulong, BpfAbi.ka_plan>(_keys.AsSpan(0, count), _plans.AsSpan(0, count));

    private static BpfAbi.ka_plan PlanOf(Decision decision, PassScope scope) => new()
    {
        expected = decision.Expected,
        wanted = decision.Wanted,
        even_if_probing = SocketLedger.EvenIfProbing(in decision.Verdict, scope) ? (byte)1 : (byte)0,
    };

    /// <summary>Withdraws the changes without an outcome. Their sockets are gone: the next reading of the namespace shows it.</summary>
    private void Withdraw(ReadOnlySpan<PlannedChange> changes)
    {
        foreach (var (cookie, i) in _open)
        {
            kernel.Plans.Remove(cookie);
            ledger.Withdraw(changes[i].Socket);
        }
        ledger.Confirm();
    }

    private void Take(in BpfAbi.ka_outcome outcome, ReadOnlySpan<PlannedChange> changes, PassScope scope)
    {
        if (!_open.Remove(outcome.cookie, out var index))
        {
            return;
        }
        var (socket, decision, now) = (changes[index].Socket, changes[index].Decision, outcome.values.ToOptions());
        int? timeout = decision.UserTimeout is null ? null : (int)outcome.values.user_timeout;
        switch (outcome.result)
        {
            case BpfAbi.KA_PROBING:
                ledger.Withdraw(socket);
                ledger.Defer(socket, scope);
                break;
            case BpfAbi.KA_CHANGED:
                // The next pass decides again, about the present values.
                ledger.Withdraw(socket);
                socket.Standing.Read(now);
                socket.Standing.Read(socket.Standing.Own, timeout);
                break;
            default:
                ledger.Conclude(socket, decision.From, in decision.Verdict, now, timeout, outcome.result == BpfAbi.KA_REFUSED ? Errno.Name(-outcome.error) : null);
                break;
        }
    }

    private readonly ref struct Visitor(PlanRunner runner, ReadOnlySpan<PlannedChange> changes, PassScope scope) : IBpfRecordVisitor<BpfAbi.ka_outcome>
    {
        private readonly ReadOnlySpan<PlannedChange> _changes = changes;

        public void Visit(in BpfAbi.ka_outcome record) => runner.Take(in record, _changes, scope);
    }
}
