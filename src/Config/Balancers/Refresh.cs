namespace Keepalive.Config.Balancers;

/// <summary>Which packets restart a balancer's idle clock.</summary>
public enum Refresh
{
    /// <summary>Any packet of the connection, in either direction: keepalive probes do.</summary>
    AnyPacket,

    /// <summary>Only packets with payload, as where a proxy counts bytes read: keepalive probes do not help.</summary>
    PayloadOnly,

    /// <summary>Any packet, but each direction has a clock of its own and the first to run out counts: a probe needs its answer.</summary>
    PerDirection,
}
