using System.CommandLine;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Policies;
using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;

namespace Keepalive.Agent.Commands;

/// <summary>The input of commands about policies: files, the objects of a cluster, or files above those.</summary>
internal static class ClusterInput
{
    /// <summary>Reads and compiles everything. An object in a file takes the place of the cluster's, as with <c>run</c>.</summary>
    /// <exception cref="IOException">The cluster cannot be read.</exception>
    public static async Task<PolicyInput> LoadAsync(
        ClusterScope scope, ParseResult result, string[] paths, Side side, CancellationToken stop, KeepaliveSettings? keepalive = null)
    {
        if (!scope.IsWanted(result.CommandResult))
        {
            return await PolicyInput.LoadAsync(paths, side, stop, keepalive);
        }
        await using var input = Console.OpenStandardInput();
        var files = PolicyReader.Read(paths, input);
        var objects = new KubectlObjects(scope.Start(result), Complaint.Say);
        var all = Below(files, await objects.ReadAsync(stop));
        // The first compilation shows which Services' endpoints are needed.
        var services = PolicyCompiler.Compile(all.Resources, HostAnswers.None.ToOptions(side)).WantedServices;
        all = Below(files, await objects.WithEndpointsAsync(services, stop));
        return await PolicyInput.CompileAsync(all, side, stop, keepalive, selectedOnly: true);
    }

    private static ReadResult Below(ReadResult files, ReadResult cluster)
    {
        var view = new ClusterView(cluster.Resources, cluster.Diagnostics, 0, IsComplete: true);
        return new ReadResult(view.Below(files.Resources), [.. files.Diagnostics, .. cluster.Diagnostics]) { Files = files.Files };
    }
}
