using Keepalive.Agent.Apply.Tracking;
using Keepalive.Linux;
using Keepalive.Linux.Bpf;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>Has the kernel carry out planned changes, all of a namespace's in one run, and takes in what came of each.</summary>
/// <remarks>
/// <code>
///   state file: intent ──► map: cookie → (expected, wanted) ──► run ──► under the socket's lock: still as expected? write, read back
///                                                                └────► one outcome for each socket found ──► state file: ok
/// </code>
/// A kill in between leaves each socket either untouched or wholly written, with its intent noted either way.
/// </remarks>
internal sealed class PlanRunner(KernelPrograms kernel, NamespaceThread namespaces, SocketLedger ledger)
{
    /// <summary>As many as the map of plans is sure to take.</summary>
    private const int AtOnce = 32 * 1024;

    /// <summary>As many as take some milliseconds: in between it is asked whether there is time for more.</summary>
    private const int AtATime = 2048;

    private readonly List<ulong> _keys = [];
    private readonly List<BpfAbi.ka_plan> _plans = [];
    private readonly Dictionary<ulong, PlannedChange> _open = [];

    /// <summary>Carries out changes to sockets of one namespace.</summary>
    /// <param name="changes">The changes.</param>
    /// <param name="scope">What is allowed.</param>
    /// <param name="hasTime">Whether there is time for more; null where there is for all.</param>
    /// <returns>How many were carried out, or found to be no more what was decided about: at least some of those there are.</returns>
    /// <exception cref="LinuxException">The kernel did not run it to its end. What may have been done is remembered as such.</exception>
    public int Run(ReadOnlySpan<PlannedChange> changes, PassScope scope, Func<bool>? hasTime = null)
    {
        var most = hasTime is null ? AtOnce : AtATime;
        var done = 0;
        while (done < changes.Length && (done == 0 || hasTime is null || hasTime()))
        {
            var count = Math.Min(most, changes.Length - done);
            RunPart(changes.Slice(done, count), scope);
            done += count;
        }
        return done;
    }

    private void RunPart(ReadOnlySpan<PlannedChange> changes, PassScope scope)
    {
        _keys.Clear();
        _plans.Clear();
        _open.Clear();
        foreach (ref readonly var change in changes)
        {
            if (ledger.TryIntend(change.Socket, change.From, change.Verdict) && _open.TryAdd(change.Socket.Cookie, change))
            {
                _keys.Add(change.Socket.Cookie);
                _plans.Add(new BpfAbi.ka_plan
                {
                    expected = BpfAbi.ka_values.From(change.From),
                    wanted = BpfAbi.ka_values.From(change.Verdict.Want),
                    even_if_probing = SocketLedger.EvenIfProbing(change.Verdict, scope) ? (byte)1 : (byte)0,
                });
            }
        }
        if (_keys.Count == 0)
        {
            return;
        }
        try
        {
            kernel.Plans.Update<ulong, BpfAbi.ka_plan>(
                System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_keys), System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_plans));
            using var run = namespaces.Begin(changes[0].Watched.Handle, kernel.Applier);
            var visitor = new Visitor(this, scope);
            BpfIterator.Read<BpfAbi.ka_outcome, Visitor>(run, ref visitor);
        }
        catch (LinuxException)
        {
            foreach (var (_, socket, from, verdict) in _open.Values)
            {
                SocketLedger.Doubt(socket, from, verdict);
            }
            kernel.Plans.Clear();
            throw;
        }
        foreach (var (cookie, change) in _open)
        {
            // Gone in the meantime: the next reading of the namespace tells.
            kernel.Plans.Remove(cookie);
            ledger.Withdraw(change.Socket);
        }
        ledger.Confirm();
    }

    private void Take(in BpfAbi.ka_outcome outcome, PassScope scope)
    {
        if (!_open.Remove(outcome.cookie, out var change))
        {
            return;
        }
        var (socket, now) = (change.Socket, outcome.values.ToOptions());
        switch (outcome.result)
        {
            case BpfAbi.KA_PROBING:
                ledger.Withdraw(socket);
                ledger.Defer(socket, scope);
                break;
            case BpfAbi.KA_CHANGED:
                // Decided again, on what it has now, in the next pass.
                ledger.Withdraw(socket);
                socket.Standing.Read(now);
                break;
            default:
                ledger.Conclude(socket, change.From, change.Verdict, now, outcome.result == BpfAbi.KA_REFUSED ? Errno.Name(-outcome.error) : null);
                break;
        }
    }

    private readonly struct Visitor(PlanRunner runner, PassScope scope) : IBpfRecordVisitor<BpfAbi.ka_outcome>
    {
        public void Visit(in BpfAbi.ka_outcome record) => runner.Take(in record, scope);
    }
}
