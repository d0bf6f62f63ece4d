using System.Runtime.InteropServices;
using Keepalive.Agent.Apply.Tracking;
using Keepalive.Linux.Bpf;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>Makes sockets send a probe through the kernel's programs, with one run for all sockets of a namespace.</summary>
/// <param name="kernel">The programs.</param>
/// <param name="namespaces">Runs them in namespaces.</param>
/// <param name="ledger">Notes each change.</param>
internal sealed class BpfAsker(KernelPrograms kernel, NamespaceThread namespaces, SocketLedger ledger) : IAsker
{
    private readonly List<ulong> _keys = [];
    private readonly List<BpfAbi.ka_plan> _plans = [];
    private readonly Dictionary<ulong, AskedSocket> _open = [];

    public void Begin(List<AskedSocket> sockets, PassContext pass)
    {
        foreach (var together in sockets.GroupBy(asked => asked.Watched))
        {
            Run(together.Where(ledger.TryBeginAsk), BpfAbi.KA_ASK, (asked, outcome) =>
            {
                if (outcome.result != BpfAbi.KA_DONE)
                {
                    ledger.WithdrawAsk(asked);
                }
            });
        }
    }

    public void End(List<AskedSocket> sockets, bool isLast)
    {
        foreach (var together in sockets.Where(asked => asked.State == AskState.Written).GroupBy(asked => asked.Watched))
        {
            Run(together, isLast ? BpfAbi.KA_ASKED_LAST : BpfAbi.KA_ASKED, (asked, outcome) =>
            {
                asked.Saw((int)outcome.unanswered, outcome.idle);
                if (outcome.result is BpfAbi.KA_DONE or BpfAbi.KA_CHANGED)
                {
                    ledger.EndAsk(asked, outcome.values.ToOptions());
                }
            });
        }
    }

    private void Run(IEnumerable<AskedSocket> sockets, byte step, Action<AskedSocket, BpfAbi.ka_outcome> take)
    {
        _keys.Clear();
        _plans.Clear();
        _open.Clear();
        WatchedNamespace? watched = null;
        foreach (var asked in sockets)
        {
            watched = asked.Watched;
            var (from, to) = step == BpfAbi.KA_ASK ? (asked.Values, asked.Asking) : (asked.Asking, asked.Values);
            if (step != BpfAbi.KA_ASK)
            {
                ledger.IntendBack(asked);
            }
            _open.Add(asked.Socket.Cookie, asked);
            _keys.Add(asked.Socket.Cookie);
            _plans.Add(new BpfAbi.ka_plan { expected = BpfAbi.ka_values.From(from, asked.UserTimeout), wanted = BpfAbi.ka_values.From(to, asked.UserTimeout), ask = step });
        }
        if (watched is null)
        {
            return;
        }
        try
        {
            kernel.Plans.Update<ulong, BpfAbi.ka_plan>(CollectionsMarshal.AsSpan(_keys), CollectionsMarshal.AsSpan(_plans));
            using var run = namespaces.Begin(watched.Handle, kernel.Applier);
            var visitor = new Visitor(_open, take);
            BpfIterator.Read<BpfAbi.ka_outcome, Visitor>(run, ref visitor);
        }
        finally
        {
            // The plans of sockets that are gone.
            foreach (var cookie in _open.Keys)
            {
                kernel.Plans.Remove(cookie);
            }
        }
    }

    private readonly struct Visitor(Dictionary<ulong, AskedSocket> open, Action<AskedSocket, BpfAbi.ka_outcome> take) : IBpfRecordVisitor<BpfAbi.ka_outcome>
    {
        public void Visit(in BpfAbi.ka_outcome record)
        {
            if (open.Remove(record.cookie, out var asked))
            {
                take(asked, record);
            }
        }
    }
}
