namespace Keepalive.Agent.Running;

/// <summary>A single pass, or the service.</summary>
internal interface IAgentRun
{
    /// <summary>Runs to the end, after the requirements were checked. Returns the exit code.</summary>
    Task<int> RunAsync();
}
