namespace Keepalive.EndToEnd;

/// <summary>Event ids in the agent's log that tests wait for. They are a contract, so they are repeated here and not taken from the
/// program.</summary>
internal static class AgentEvents
{
    public const int Started = 1;
    public const int Ready = 8;
    public const int PolicyLoaded = 10;
    public const int PolicyRefused = 11;
    public const int PoliciesNotKept = 14;
    public const int SocketSet = 20;
    public const int SocketsLeftOut = 24;
    public const int EndpointOut = 41;
    public const int EndpointBack = 42;
}
