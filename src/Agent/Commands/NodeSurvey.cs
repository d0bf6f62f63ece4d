using Keepalive.Agent.Apply;
using Keepalive.Agent.Apply.Pidfd;
using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Running;
using Keepalive.Agent.Sockets;
using Keepalive.Agent.Support;
using Keepalive.Config;
using Keepalive.Linux;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Commands;

/// <summary>Reads the sockets of the node once, with the effect of a policy on them. Changes nothing.</summary>
internal sealed class NodeSurvey
{
    public required string[] Policies { get; init; }

    /// <summary>The values for connections that no policy selects; null to skip them.</summary>
    public KeepaliveSettings? Keepalive { get; init; }

    /// <summary>Whether there is a policy.</summary>
    public bool HasPolicy => Policies.Length > 0 || Keepalive is not null;

    public ExistingMode Existing { get; init; } = ExistingMode.Tighten;

    public Side Side { get; init; } = Side.Client;

    /// <summary>Paths of the only namespaces to read; empty for all.</summary>
    public required string[] Namespaces { get; init; }

    public required string StateDirectory { get; init; }

    public required TcpStates States { get; init; }

    /// <summary>The cluster that knows the node's pods; null for none.</summary>
    public ClusterOptions? Cluster { get; init; }

    /// <summary>The notes of the last agent in the state file, once the sockets have been read.</summary>
    public IReadOnlyDictionary<(ulong Namespace, ulong Cookie), SocketMemory> Notes { get; private set; } = new Dictionary<(ulong, ulong), SocketMemory>();

    /// <summary>Reads the sockets, then calls <paramref name="report"/>, which prints the result and returns the exit code. If the sockets
    /// cannot be read, the reason goes to standard error.</summary>
    public int Take(ISocketSink sink, Func<PassSummary, PodDirectory?, int> report, CancellationToken stop)
    {
        if (LoadPolicy(stop) is not { } policy)
        {
            return ExitCodes.InvalidInput;
        }
        if (!Privileges.Check(Console.Error))
        {
            return ExitCodes.NotPermitted;
        }
        if (!Privileges.CheckNamespaces(Namespaces, Console.Error))
        {
            return ExitCodes.Usage;
        }
        using var directory = ReadState();
        if (directory is null)
        {
            return ExitCodes.Failed;
        }
        // A pass removes those that it finds.
        Notes = new Dictionary<(ulong, ulong), SocketMemory>(directory.Inherited);
        directory.Warnings.ForEach(warning => Complaint.Say($"warning: {warning}"));
        using var datapath = new PidfdDatapath(new TrackingOptions
        {
            Only = Namespaces,
            MaxNamespaces = DescriptorShares.Measure().Namespaces,
            Inherited = directory.Inherited,
            State = null,
        });
        PassSummary summary;
        try
        {
            summary = datapath.Pass(policy, new PassScope { Full = true, ReadAll = true, DryRun = true, Only = true, States = States }, sink);
        }
        catch (LinuxException e)
        {
            Complaint.Say(e.Message);
            return ExitCodes.Failed;
        }
        foreach (var gap in summary.Gaps)
        {
            Complaint.Say($"warning: {gap}");
        }
        using var pods = PodDirectory.Ask(Cluster, trouble => Complaint.Say($"warning: {trouble}"), stop);
        return report(summary, pods);
    }

    private RunDirectory? ReadState()
    {
        try
        {
            return RunDirectory.Read(StateDirectory);
        }
        catch (IOException e)
        {
            Complaint.Say(e.Message);
            return null;
        }
    }

    private PolicySnapshot? LoadPolicy(CancellationToken stop)
    {
        if (!HasPolicy)
        {
            return PolicySnapshot.Empty;
        }
        var load = new PolicySource(new PolicyOptions { Paths = Policies, Side = Side, Existing = Existing, Keepalive = Keepalive }, new HostResolver()).Load(stop);
        foreach (var diagnostic in load.Diagnostics.Where(static d => d.Severity != Severity.Note))
        {
            Console.Error.WriteLine(diagnostic);
        }
        return load.Snapshot;
    }
}
