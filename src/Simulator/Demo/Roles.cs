namespace Keepalive.Simulator.Demo;

/// <summary>The hidden commands under which the demo's programs are started.</summary>
internal static class Roles
{
    public const string Service = "demo-service";
    public const string Proxy = "demo-proxy";
    public const string Client = "demo-client";
}
