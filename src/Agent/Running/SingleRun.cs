using Keepalive.Agent.Apply;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Reports;
using Microsoft.Extensions.DependencyInjection;

namespace Keepalive.Agent.Running;

/// <summary><c>run --once</c>: one pass, which prints its changes.</summary>
internal sealed class SingleRun(PassOptions options, ProblemOutput problems, IServiceProvider services) : IAgentRun
{
    public Task<int> RunAsync() => Task.FromResult(Run(problems.Writer));

    private int Run(TextWriter error)
    {
        var directory = services.GetRequiredService<RunDirectory>();
        if (!options.DryRun && !directory.IsOwner)
        {
            error.WriteLine(
                $"keepalive-agent: warning: an agent is running (pid {directory.Holder()}); it will treat the values of this run "
                + "as the applications' own");
        }
        directory.Warnings.ForEach(warning => error.WriteLine($"keepalive-agent: warning: {warning}"));
        var chosen = services.GetRequiredService<ChosenDatapath>();
        if (chosen.WhyNotBpf is { } why)
        {
            error.WriteLine($"keepalive-agent: the {ChosenDatapath.NoBpf}{why}; using pidfd");
        }
        // A single run with --restore-on-exit would restore its own changes at once. Only the changes of earlier runs remain to be
        // restored.
        var restore = options.RestoreOnExit;
        var policy = restore ? PolicySnapshot.Empty : services.GetRequiredService<PolicyLoad>().Snapshot!;
        var report = new OnceReport(Console.Out, whenRestored: restore ? "asked for with --restore-on-exit" : null, services.GetService<Cluster>()?.Pods);
        var summary = chosen.Datapath.Pass(policy, new PassScope { Full = true, Owners = true, DryRun = options.DryRun, Only = true, Last = restore }, report);
        report.Summary(summary);
        foreach (var trouble in summary.Gaps)
        {
            error.WriteLine($"keepalive-agent: warning: {trouble}");
        }
        if (summary.NotReached > 0)
        {
            error.WriteLine($"keepalive-agent: {Words.Count(summary.NotReached, "socket")} in them could not be restored; the state file has them");
        }
        // Sockets that are missing in a damaged state file are not restored either.
        var isWhole = report.Failed == 0 && summary is { NamespaceFailures: 0, NotReached: 0 } && (!restore || directory.Warnings.Count == 0);
        return isWhole ? ExitCodes.Done : ExitCodes.Failed;
    }
}
