using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Support;
using Keepalive.Config;
using Microsoft.Extensions.DependencyInjection;

namespace Keepalive.Agent.Running;

/// <summary>Checks the requirements before anything on the node is changed.</summary>
internal sealed class StartCheck(StartOptions options, ProblemOutput problems, IServiceProvider services)
{
    /// <summary>Reports the problems of the policies. Returns an exit code if the agent cannot run; null if it can.</summary>
    public int? Refuse()
    {
        var error = problems.Writer;
        PolicyLoad load;
        try
        {
            load = services.GetRequiredService<PolicyLoad>();
        }
        catch (OperationCanceledException)
        {
            return ExitCodes.Done;
        }
        // A service that starts has a log for them.
        foreach (var diagnostic in load.Diagnostics.Where(d => d.Severity >= Severity.Warning && (options.Once || load.Snapshot is null)))
        {
            error.WriteLine(diagnostic);
        }
        if (load.Snapshot is null || (options.Once && load.Errors.Any()))
        {
            return ExitCodes.InvalidInput;
        }
        if (options.NeedsCluster && services.GetService<Cluster>() is { IsUnheardOf: true } cluster)
        {
            error.WriteLine($"keepalive-agent: the cluster's state is unknown: {(cluster.Troubles() is [var first, ..] ? first : "its API server does not answer")}");
            return ExitCodes.Failed;
        }
        if (options.Once && !load.Snapshot.IsComplete)
        {
            error.WriteLine("keepalive-agent: warning: the cluster's state is incomplete; this run uses what is known");
        }
        if (!Privileges.Check(error))
        {
            return ExitCodes.NotPermitted;
        }
        if (options.NeedsCapture && CapturePrivileges.Missing() is { } missing)
        {
            error.WriteLine($"keepalive-agent: {missing}");
            return ExitCodes.NotPermitted;
        }
        return Privileges.CheckNamespaces(options.Namespaces, error) ? null : ExitCodes.Usage;
    }
}
