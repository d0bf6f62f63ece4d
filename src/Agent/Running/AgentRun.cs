using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Keepalive.Agent.Running;

/// <summary>Runs <c>run</c>: checks the requirements, then makes one pass, or runs the service until it is stopped.</summary>
/// <remarks>
/// <code>
///   host of the run:         cluster ──► checks ──► the single pass, or the service
///   host of the service:                            capture ──► passes ──► listeners
/// </code>
/// Everything is stopped in the reverse order. The service has a host of its own, because its listeners need the lock of the state directory,
/// and its passes need the first policies, which may come from the cluster.
/// </remarks>
internal static class AgentRun
{
    public static int Execute(RunOptions options)
    {
        using var host = Build(options);
        var services = host.Services;
        var error = services.GetRequiredService<ProblemOutput>().Writer;
        try
        {
            host.Start();
            var code = services.GetRequiredService<StartCheck>().Refuse() ?? services.GetRequiredService<IAgentRun>().RunAsync().GetAwaiter().GetResult();
            host.StopAsync().GetAwaiter().GetResult();
            return code;
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

    private static IHost Build(RunOptions options)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { ContentRootPath = AppContext.BaseDirectory });
        builder.Services.AddKeepaliveAgent(options).AddSingleton<IHostLifetime, RunLifetime>();
        return builder.Build();
    }

    /// <summary>The host of the run ignores signals, because the run itself ends by them.</summary>
    internal sealed class RunLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
