using System.Net.Sockets;
using Keepalive.Agent.Kubernetes;
using Microsoft.Extensions.DependencyInjection;

namespace Keepalive.Agent.Running;

/// <summary>Runs <c>run</c>: checks the requirements, then makes one pass, or runs the service until it is stopped.</summary>
internal static class AgentRun
{
    public static int Execute(RunOptions options)
    {
        using var services = new ServiceCollection().AddKeepaliveAgent(options).BuildServiceProvider();
        var error = services.GetRequiredService<ProblemOutput>().Writer;
        try
        {
            services.GetService<Cluster>()?.Start();
            return services.GetRequiredService<StartCheck>().Refuse() ?? services.GetRequiredService<IAgentRun>().RunAsync().GetAwaiter().GetResult();
        }
        catch (DatapathException e)
        {
            error.WriteLine($"keepalive-agent: the {ChosenDatapath.NoBpf}{e.Message}. See 'keepalive-agent support'.");
            return ExitCodes.NotPermitted;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or SocketException)
        {
            error.WriteLine($"keepalive-agent: {e.Message}");
            return ExitCodes.Failed;
        }
    }
}
