using Keepalive.Config;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Sockets;

/// <summary>The state of a predecessor; a socket is removed when it is found.</summary>
internal sealed class InheritedSockets : Dictionary<(ulong Namespace, ulong Cookie), SocketMemory>
{
    /// <summary>Linux's own values, which every new network namespace begins with (net/ipv4/tcp_ipv4.c, tcp_sk_init).</summary>
    private static readonly KeepaliveOptions s_untouched = new(false, 7200, 75, 9);

    /// <summary>The values that its programs gave to new connections. A kill leaves those of the last interval without a note of their own.</summary>
    public List<KeepaliveSettings> Arriving { get; } = [];

    /// <summary>Whether values of a socket nobody knows of are such.</summary>
    public bool MayHaveArrived(KeepaliveOptions values)
    {
        // Asked of every socket of the node: a lambda would be an object for each.
        foreach (var set in Arriving)
        {
            if (values.Enabled && Fits(set, values))
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>The memory for a socket that has such values.</summary>
    /// <param name="values">Its values.</param>
    /// <param name="untouched">The values of a new socket of its namespace; null if unknown.</param>
    public SocketMemory Arrived(KeepaliveOptions values, KeepaliveOptions? untouched)
    {
        var set = Arriving.Find(candidate => Fits(candidate, values));
        var before = untouched ?? s_untouched;
        return SocketMemory.OfAgent(
            new KeepaliveOptions(
                false,
                set.Time is null ? values.Time : before.Time,
                set.Interval is null ? values.Interval : before.Interval,
                set.Probes is null ? values.Probes : before.Probes),
            values);
    }

    private static bool Fits(KeepaliveSettings set, KeepaliveOptions values) =>
        (set.Time is null || set.Time == values.Time) && (set.Interval is null || set.Interval == values.Interval)
        && (set.Probes is null || set.Probes == values.Probes);
}
