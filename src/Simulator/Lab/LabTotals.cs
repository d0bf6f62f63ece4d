namespace Keepalive.Simulator.Lab;

/// <summary>The balancer's counters.</summary>
internal sealed class LabTotals
{
    public long Opened { get; set; }

    public long Closed { get; set; }

    public long Expired { get; set; }

    public long Revived { get; set; }

    /// <summary>Resets sent, to either end.</summary>
    public long Resets { get; set; }

    /// <summary>FINs sent, to either end.</summary>
    public long Fins { get; set; }

    /// <summary>Packets of expired connections that were dropped.</summary>
    public long Swallowed { get; set; }

    public long ClientProbes { get; set; }

    public long ServerProbes { get; set; }

    /// <summary>Keepalive probes that were answered.</summary>
    public long ProbesAnswered { get; set; }

    /// <summary>Keepalive probes that restarted the idle clock.</summary>
    public long Refreshes { get; set; }

    /// <summary>SYNs dropped because the table was full.</summary>
    public long TableFull { get; set; }
}
