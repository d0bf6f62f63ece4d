using Keepalive.Simulator.Balancing;

namespace Keepalive.Simulator.Virtual;

/// <summary>How far a client is with one connection of its pool.</summary>
internal enum ConnectionPhase : byte
{
    /// <summary>There is none.</summary>
    Down,

    Connecting,
    Established,
}

/// <summary>The possible next events of a connection. At the same instant they happen in this order: a connection that expires at an instant is gone
/// then.</summary>
internal enum Step : byte
{
    None,
    Restart,
    Fail,
    Expire,
    Respond,
    ServerTimer,
    Told,
    Connected,
    ClientTimer,
    Retransmit,
    Timeout,
}

/// <summary>How far a request is on its connection.</summary>
internal enum RequestPhase : byte
{
    None,

    /// <summary>Waits for the connection.</summary>
    Waiting,

    /// <summary>Sent, and not answered.</summary>
    Sent,

    /// <summary>Acknowledged by the server's kernel: nothing is in flight, and the client waits for the response.</summary>
    Accepted,
}

/// <summary>The obstacle of a request.</summary>
internal enum Cause : byte
{
    None,

    /// <summary>503: the balancer sent a reset.</summary>
    BalancerReset,

    /// <summary>503: the balancer closed the connection just then.</summary>
    BalancerClosed,

    /// <summary>503: the server's kernel sent a reset.</summary>
    PeerReset,

    /// <summary>503: no connection could be made.</summary>
    ConnectFailed,

    /// <summary>503: the client's kernel gave up retransmitting.</summary>
    GaveUp,

    /// <summary>503: the client's kernel ended the connection while it waited for the response: the balancer swallowed its probes.</summary>
    ProbesSwallowed,

    /// <summary>503: the same, but the balancer knew the connection.</summary>
    ProbesUnanswered,

    /// <summary>504: the balancer swallowed the request, or the response.</summary>
    Swallowed,

    /// <summary>504: the endpoint is gone.</summary>
    PeerSilent,

    /// <summary>504: the network lost too much.</summary>
    Lost,

    /// <summary>504: the server was still at work.</summary>
    Slow,
}

/// <summary>One end's keepalive: what its kernel keeps of it.</summary>
internal struct VirtualEnd
{
    /// <summary>When it last received something that counts, ticks; in the future while something it has sent is on its way to be answered.</summary>
    public long Heard;

    /// <summary>When its keepalive timer fires, ticks.</summary>
    public long Timer;

    public int Unanswered;
}

/// <summary>One connection of a client's pool, whichever it is at the moment. All times are ticks; <see cref="Block.Never"/> is never.</summary>
/// <remarks>What a quiet connection's probes need comes first, in two lines of the cache.</remarks>
internal struct VirtualConnection
{
    public FlowClock Flow;
    public VirtualEnd Client;
    public VirtualEnd Server;
    public RandomStream Random;

    /// <summary>When a reset or a FIN reaches the client.</summary>
    public long Told;

    /// <summary>When connecting comes to its end; while there is no connection, when to try again.</summary>
    public long Connected;

    /// <summary>When its endpoint fails.</summary>
    public long Fails;

    /// <summary>When the balancer starts anew.</summary>
    public long Restart;

    public ConnectionPhase Phase;
    public RequestPhase Request;

    /// <summary>Its step in the queue, where steps are.</summary>
    public Step Next;

    /// <summary>The server's end is no more.</summary>
    public bool ServerGone;

    /// <summary>When the client sends its request again.</summary>
    public long Retransmit;

    /// <summary>When the server sends its response, for the first time or again; never while it has no request.</summary>
    public long Respond;

    /// <summary>When the client gives its request up.</summary>
    public long Timeout;

    /// <summary>Since when its endpoint has been gone without a word.</summary>
    public long SilentSince;

    public PathState Path;
    public int Restarts;
    public int Endpoint;
    public int NextEndpoint;
    public int Failed;

    /// <summary>The origin of the reset or FIN in transit; while a request is unanswered, its last obstacle.</summary>
    public Cause ToldCause;
    public Cause Obstacle;
    public bool ConnectSucceeds;

    /// <summary>The request has been seen by the balancer: sending it again brings nothing new.</summary>
    public bool RequestSeen;

    public byte Retransmissions;

    /// <summary>How often the server has sent the response.</summary>
    public byte ResponsesSent;
}

/// <summary>A client that uses the connections of one pool, one request at a time.</summary>
internal struct VirtualClient
{
    /// <summary>When its next request begins.</summary>
    public long Next;

    /// <summary>Until when its busy time lasts.</summary>
    public long BusyUntil;

    /// <summary>When its present request has to be answered.</summary>
    public long Deadline;

    /// <summary>When its present request began.</summary>
    public long Began;

    /// <summary>How long the server works on its present request.</summary>
    public long Service;

    public RandomStream Random;
    public RandomStream ServiceRandom;

    /// <summary>The connection with its present request; -1 while there is none.</summary>
    public int Active;

    /// <summary>How many requests it has made: where it is in a trace and in its pool.</summary>
    public int Requests;

    public int Picks;
    public int RetriesLeft;
}
