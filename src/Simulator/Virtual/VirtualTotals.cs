using System.Runtime.InteropServices;

namespace Keepalive.Simulator.Virtual;

/// <summary>The counters; sums, independent of the order in which parts are added.</summary>
internal sealed class VirtualTotals
{
    /// <summary>Parts the duration is shown in.</summary>
    public const int Bins = 24;

    /// <summary>The rows of <see cref="Timeline"/>.</summary>
    public const int RequestRow = 0;
    public const int OkRow = 1;
    public const int Status503Row = 2;
    public const int Status504Row = 3;
    public const int ExpiryRow = 4;
    public const int ProbeRow = 5;

    /// <summary>A connection's failed requests are distinguished up to this number.</summary>
    public const int MaxFailures = 1000;

    private readonly long[] _byCause = new long[Enum.GetValues<Cause>().Length];

    public long Requests { get; set; }

    public long Ok { get; set; }

    public long Status503 { get; set; }

    public long Status504 { get; set; }

    /// <summary>Attempts that failed and were followed by another.</summary>
    public long Retried { get; set; }

    public long ClientProbes { get; set; }

    public long ServerProbes { get; set; }

    /// <summary>Probes whose answer arrived.</summary>
    public long Replies { get; set; }

    /// <summary>Answers sent, those that got lost among them.</summary>
    public long RepliesSent { get; set; }

    public long Expiries { get; set; }

    /// <summary>Those while a client waited for a response.</summary>
    public long ExpiredWaiting { get; set; }

    /// <summary>Attempts whose response could not arrive any more: the server had the request, the connection was lost. Retried ones are included.</summary>
    public long LostWaiting { get; set; }

    /// <summary>Connections the balancer forgot because it started anew.</summary>
    public long Forgotten { get; set; }

    public long Revived { get; set; }

    /// <summary>Resets by the balancer.</summary>
    public long ResetsToClient { get; set; }

    /// <summary>Resets by the balancer.</summary>
    public long ResetsToServer { get; set; }

    /// <summary>FINs by the balancer, to either end.</summary>
    public long Fins { get; set; }

    /// <summary>Connections made, those at the beginning among them.</summary>
    public long Opened { get; set; }

    public long ConnectFailures { get; set; }

    /// <summary>Connections that ended in the client's hands while no request was on them.</summary>
    public long EndedIdle { get; set; }

    /// <summary>Connections an end gave up for unanswered probes.</summary>
    public long KeepaliveDeaths { get; set; }

    public long Retransmissions { get; set; }

    /// <summary>Times an endpoint was taken out of the pool.</summary>
    public long Removals { get; set; }

    /// <summary>The events that the engine has processed one by one.</summary>
    public long Events { get; set; }

    /// <summary>From an endpoint's silent failure to when the client knew, for each connection to it; ticks.</summary>
    public List<long> Notices { get; } = [];

    /// <summary>From the last packet heard to the death by unanswered probes; ticks.</summary>
    public List<long> Deaths { get; } = [];

    /// <summary>Requests, those answered 200, 503, 504, expiries, and probes of both ends, by time.</summary>
    public long[][] Timeline { get; } = [.. Enumerable.Range(0, ProbeRow + 1).Select(_ => new long[Bins])];

    /// <summary>How many connections had so many failed requests; the last are those with that many or more.</summary>
    public long[] ByFailures { get; } = new long[MaxFailures + 1];

    public long Of(Cause cause) => _byCause[(int)cause];

    public void Count(Cause cause) => _byCause[(int)cause]++;

    public void Add(VirtualTotals other)
    {
        Requests += other.Requests;
        Ok += other.Ok;
        Status503 += other.Status503;
        Status504 += other.Status504;
        Retried += other.Retried;
        ClientProbes += other.ClientProbes;
        ServerProbes += other.ServerProbes;
        Replies += other.Replies;
        RepliesSent += other.RepliesSent;
        Expiries += other.Expiries;
        ExpiredWaiting += other.ExpiredWaiting;
        LostWaiting += other.LostWaiting;
        Forgotten += other.Forgotten;
        Revived += other.Revived;
        ResetsToClient += other.ResetsToClient;
        ResetsToServer += other.ResetsToServer;
        Fins += other.Fins;
        Opened += other.Opened;
        ConnectFailures += other.ConnectFailures;
        EndedIdle += other.EndedIdle;
        KeepaliveDeaths += other.KeepaliveDeaths;
        Retransmissions += other.Retransmissions;
        Removals += other.Removals;
        Events += other.Events;
        Notices.AddRange(CollectionsMarshal.AsSpan(other.Notices));
        Deaths.AddRange(CollectionsMarshal.AsSpan(other.Deaths));
        Add(_byCause, other._byCause);
        Add(ByFailures, other.ByFailures);
        for (var row = 0; row < Timeline.Length; row++)
        {
            Add(Timeline[row], other.Timeline[row]);
        }
    }

    private static void Add(long[] to, long[] from)
    {
        for (var i = 0; i < to.Length; i++)
        {
            to[i] += from[i];
        }
    }
}
