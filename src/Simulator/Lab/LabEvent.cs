using Keepalive.Linux.Packets;
using Keepalive.Simulator.Balancing;

namespace Keepalive.Simulator.Lab;

/// <summary>The events of a connection in the lab.</summary>
internal enum LabEventKind
{
    /// <summary>The handshake is done.</summary>
    Opened,

    /// <summary>The other end answered the SYN with a reset.</summary>
    Refused,

    /// <summary>A keepalive probe that restarted the idle clock.</summary>
    Refreshed,

    /// <summary>A keepalive probe that did not.</summary>
    Probed,

    /// <summary>A keepalive probe that the balancer dropped, so that it gets no answer.</summary>
    Ignored,

    /// <summary>The idle timeout has passed.</summary>
    Expired,

    /// <summary>The balancer sent a reset.</summary>
    Reset,

    /// <summary>The balancer sent a FIN.</summary>
    Finished,

    /// <summary>The balancer dropped a packet of a connection that had expired.</summary>
    Swallowed,

    /// <summary>A connection that had expired is known again.</summary>
    Revived,

    /// <summary>The ends closed it with a FIN each.</summary>
    Closed,

    /// <summary>An end closed it with a reset.</summary>
    Aborted,
}

/// <summary>Something that happened to a connection.</summary>
/// <param name="Time">Since the lab began.</param>
/// <param name="Kind">What.</param>
/// <param name="Flow">Whose.</param>
/// <param name="OpenedBy">The end that opened the connection.</param>
/// <param name="End">The end that caused it; for packets of the balancer, the end that receives them.</param>
/// <param name="Sequence">The sequence number of the packet that it is about, where it is about one.</param>
/// <param name="Flags">Its control bits.</param>
/// <param name="Length">Bytes of payload in that packet.</param>
/// <param name="Idle">For how long the clock had not been restarted before.</param>
internal readonly record struct LabEvent(
    TimeSpan Time, LabEventKind Kind, LabFlowKey Flow, FlowEnd OpenedBy, FlowEnd End, uint? Sequence, TcpFlags Flags, int Length, TimeSpan Idle)
{
    /// <summary>Whether the packet that it is about is a keepalive probe.</summary>
    public bool IsProbe { get; init; }
}
