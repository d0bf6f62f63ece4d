namespace Keepalive.Simulator.Balancing;

/// <summary>One of the two ends a balancer stands between.</summary>
internal enum FlowEnd
{
    /// <summary>The client side, which is also the inside of a NAT or firewall.</summary>
    Client,

    /// <summary>The server side.</summary>
    Server,
}

internal static class FlowEnds
{
    public static FlowEnd Other(this FlowEnd end) => end == FlowEnd.Client ? FlowEnd.Server : FlowEnd.Client;

    public static string Name(this FlowEnd end) => end == FlowEnd.Client ? "client" : "server";
}
