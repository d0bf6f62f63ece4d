using System.Runtime.InteropServices;
using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Bpf;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>The sockets that the kernel programs have set, when they were established, since the last pass, and those that have closed.</summary>
/// <remarks>A socket that found no room in the ring is counted. If it is still open, it is found and reported when its namespace is read.
/// For this the kernel remembers its earlier values.</remarks>
internal sealed class Arrivals : IDisposable
{
    private readonly BpfMap _counters;
    private readonly BpfRing _ring;
    private readonly List<BpfAbi.ka_arrival> _arrived = [];
    private readonly List<int> _changesBefore = [];
    private readonly List<BpfAbi.ka_change> _changes = [];
    private readonly HashSet<ulong> _announced = [];

    public Arrivals(KernelPrograms kernel)
    {
        _counters = kernel.Counters;
        _ring = new BpfRing(kernel.Arrivals, Take);
    }

    /// <summary>The sockets that were taken out, in the order of their arrival.</summary>
    public ReadOnlySpan<BpfAbi.ka_arrival> Arrived => CollectionsMarshal.AsSpan(_arrived);

    /// <summary>How many of <see cref="Changes"/> came before each of them.</summary>
    public ReadOnlySpan<int> ChangesBefore => CollectionsMarshal.AsSpan(_changesBefore);

    /// <summary>The sockets that have closed, in the order of their changes.</summary>
    public ReadOnlySpan<BpfAbi.ka_change> Changes => CollectionsMarshal.AsSpan(_changes);

    /// <summary>The sockets reported in this pass.</summary>
    public IReadOnlySet<ulong> Announced => _announced;

    /// <summary>Arrivals that found no room in the ring, since the programs were loaded.</summary>
    public long Lost => Sum(BpfAbi.KA_LOST);

    /// <summary>Sockets that were left to the next pass because the kernel could not remember or write them.</summary>
    public long LeftToPasses => Sum(BpfAbi.KA_UNREMEMBERED) + Sum(BpfAbi.KA_FAILED);

    /// <summary>Takes the sockets since the last call out of the ring.</summary>
    public void Drain()
    {
        Spare.Clear(_arrived);
        Spare.Clear(_changesBefore);
        Spare.Clear(_changes);
        _announced.Clear();
        _ring.Drain();
    }

    /// <summary>Reports the sockets that were taken out. A socket that a pass has already found is not reported again.</summary>
    /// <param name="policy">The policy by which they were set.</param>
    /// <param name="sink">Receives the records.</param>
    /// <param name="ledger">Counts them.</param>
    /// <param name="isTracked">Whether a pass has already found the socket.</param>
    /// <param name="workload">Returns the workload of a socket in a network namespace.</param>
    /// <param name="reported">Called for each socket that was reported, with its network namespace.</param>
    public void Report(
        PolicySnapshot policy, ISocketSink sink, SocketLedger ledger, Func<ulong, ulong, bool> isTracked, Func<ulong, BpfAbi.ka_maker, string> workload,
        Action<ulong, ulong> reported)
    {
        foreach (ref readonly var arrival in CollectionsMarshal.AsSpan(_arrived))
        {
            if (isTracked(arrival.tuple.netns, arrival.tuple.cookie) || !_announced.Add(arrival.tuple.cookie))
            {
                continue;
            }
            var (local, remote) = (arrival.tuple.Local, arrival.tuple.Remote);
            Report(sink, ledger, in arrival, policy.Match(in local, in remote), workload(arrival.tuple.netns, arrival.maker));
            reported(arrival.tuple.netns, arrival.tuple.cookie);
        }
    }

    /// <summary>Reports a socket that was set when it was established.</summary>
    public static void Report(ISocketSink sink, SocketLedger ledger, in BpfAbi.ka_arrival arrival, CompiledRule? rule, string workload)
    {
        var (found, set) = (arrival.found.ToOptions(), arrival.set.ToOptions());
        ledger.CountApplied(rule, arrival.tuple.netns, workload);
        sink.Socket(new SocketRecord
        {
            Namespace = arrival.tuple.netns,
            Workload = workload,
            Cookie = arrival.tuple.cookie,
            Local = arrival.tuple.Local,
            Remote = arrival.tuple.Remote,
            State = Linux.Sockets.TcpState.Established,
            Timer = Linux.Netlink.TcpTimer.Keepalive,
            TimerExpires = (uint)set.Time * 1000,
            Found = found,
            Current = set,
            Replaced = found,
            UserTimeout = (int)arrival.set.user_timeout,
            Rule = rule,
            Outcome = SocketOutcome.Managed,
            Changed = true,
            IsLocal = LocalEnds.IsByAddress(arrival.tuple.Local, arrival.tuple.Remote),
        });
    }

    /// <summary>The namespaces of the sockets that were taken out.</summary>
    public IEnumerable<ulong> Namespaces() => _arrived.Select(arrival => (ulong)arrival.tuple.netns).Distinct();

    public void Dispose() => _ring.Dispose();

    private void Take(ReadOnlySpan<byte> sample)
    {
        // Arrivals are longer.
        if (MemoryMarshal.TryRead<BpfAbi.ka_arrival>(sample, out var arrival))
        {
            _arrived.Add(arrival);
            _changesBefore.Add(_changes.Count);
        }
        else
        {
            _changes.Add(MemoryMarshal.Read<BpfAbi.ka_change>(sample));
        }
    }

    private long Sum(uint counter)
    {
        // The map has one number for each possible processor.
        Span<ulong> values = stackalloc ulong[1024];
        values.Clear();
        if (!_counters.TryRead(counter, values))
        {
            return 0;
        }
        long sum = 0;
        foreach (var value in values)
        {
            sum += (long)value;
        }
        return sum;
    }
}
