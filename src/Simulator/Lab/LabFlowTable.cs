using Keepalive.Simulator.Balancing;

namespace Keepalive.Simulator.Lab;

/// <summary>The balancer's connections, those of each phase by age, so that the next one to act on is always the first.</summary>
/// <remarks>Expired and closed ones are kept for a while: their ends may not know yet. All of it is bounded.</remarks>
internal sealed class LabFlowTable(BalancerRule rule, int capacity)
{
    /// <summary>Retransmissions are at most 120 s apart (TCP_RTO_MAX): an end that is still trying is always met again.</summary>
    public static readonly TimeSpan ExpiredTime = TimeSpan.FromSeconds(130);

    /// <summary>For stragglers after the last FIN.</summary>
    public static readonly TimeSpan ClosedTime = TimeSpan.FromSeconds(10);

    /// <summary>Expired or closed ones kept at most; the oldest go first.</summary>
    public const int MaxKept = 16_384;

    private readonly Dictionary<LabFlowKey, LabFlow> _flows = [];
    private readonly LinkedList<LabFlow> _open = [];
    private readonly LinkedList<LabFlow> _openByServer = [];
    private readonly LinkedList<LabFlow> _expired = [];
    private readonly LinkedList<LabFlow> _closed = [];
    private readonly bool _perDirection = rule.Behaviour.Refresh == Config.Balancers.Refresh.PerDirection;

    public int Count => _flows.Count;

    public bool IsFull => _open.Count >= capacity;

    public LabFlow? Find(in LabFlowKey key) => _flows.GetValueOrDefault(key);

    /// <summary>Adds a connection that is open.</summary>
    public LabFlow Add(in LabFlowKey key, TimeSpan now)
    {
        var flow = new LabFlow(key);
        _flows.Add(key, flow);
        Open(flow, now);
        return flow;
    }

    /// <summary>Makes an expired or closed one an open one, its clocks at the beginning.</summary>
    public void Reopen(LabFlow flow, TimeSpan now)
    {
        Unlink(flow);
        Open(flow, now);
    }

    /// <summary>An end has restarted the clock of an open one.</summary>
    public void Refreshed(LabFlow flow, FlowEnd by)
    {
        var byServer = _perDirection && by == FlowEnd.Server;
        MoveToEnd(byServer ? _openByServer : _open, byServer ? flow.ServerNode : flow.Node);
    }

    /// <summary>A packet of an expired or closed one has come.</summary>
    public static void Seen(LabFlow flow, TimeSpan now)
    {
        flow.LastSeen = now;
        MoveToEnd(flow.Node.List!, flow.Node);
    }

    /// <summary>The ends have closed it.</summary>
    public void Close(LabFlow flow, TimeSpan now)
    {
        Unlink(flow);
        flow.Clock.Phase = FlowPhase.Closed;
        Keep(_closed, flow, now);
    }

    /// <summary>It has expired.</summary>
    public void Expire(LabFlow flow, TimeSpan now)
    {
        Unlink(flow);
        flow.ExpiredAt = now;
        Keep(_expired, flow, now);
    }

    /// <summary>An open connection whose idle timeout has passed, or null.</summary>
    public LabFlow? NextExpired(TimeSpan now) =>
        _open.First is { } first && rule.Deadline(first.Value.Clock) <= now ? first.Value
        : _openByServer.First is { } second && rule.Deadline(second.Value.Clock) <= now ? second.Value
        : null;

    /// <summary>Forgets those that were kept long enough.</summary>
    public void Forget(TimeSpan now)
    {
        while (_expired.First is { } first && first.Value.LastSeen + ExpiredTime <= now)
        {
            Remove(first.Value);
        }
        while (_closed.First is { } first && first.Value.LastSeen + ClosedTime <= now)
        {
            Remove(first.Value);
        }
    }

    /// <summary>When there is something to expire or to forget next; null when the table is empty.</summary>
    public TimeSpan? NextDue()
    {
        TimeSpan? next = null;
        Consider(_open.First is { } open ? rule.Deadline(open.Value.Clock) : null);
        Consider(_openByServer.First is { } byServer ? rule.Deadline(byServer.Value.Clock) : null);
        Consider(_expired.First?.Value.LastSeen + ExpiredTime);
        Consider(_closed.First?.Value.LastSeen + ClosedTime);
        return next;

        void Consider(TimeSpan? due) => next = due < next || next is null ? due ?? next : next;
    }

    private void Open(LabFlow flow, TimeSpan now)
    {
        flow.Clock = FlowClock.StartedAt(now);
        flow.LastSeen = now;
        _open.AddLast(flow.Node);
        if (_perDirection)
        {
            _openByServer.AddLast(flow.ServerNode);
        }
    }

    private void Keep(LinkedList<LabFlow> list, LabFlow flow, TimeSpan now)
    {
        flow.LastSeen = now;
        list.AddLast(flow.Node);
        if (list.Count > MaxKept)
        {
            Remove(list.First!.Value);
        }
    }

    private void Remove(LabFlow flow)
    {
        Unlink(flow);
        _flows.Remove(flow.Key);
    }

    private static void Unlink(LabFlow flow)
    {
        flow.Node.List?.Remove(flow.Node);
        flow.ServerNode.List?.Remove(flow.ServerNode);
    }

    private static void MoveToEnd(LinkedList<LabFlow> list, LinkedListNode<LabFlow> node)
    {
        if (list.Last != node)
        {
            list.Remove(node);
            list.AddLast(node);
        }
    }
}
