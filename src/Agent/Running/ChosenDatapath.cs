using Keepalive.Agent.Apply;
using Keepalive.Agent.Apply.Bpf;
using Keepalive.Agent.Apply.Pidfd;
using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Linux;
using Keepalive.Linux.Bpf;

namespace Keepalive.Agent.Running;

/// <summary>The error that the requested datapath is unavailable here.</summary>
internal sealed class DatapathException(string reason) : Exception(reason);

/// <summary>The datapath in use, and why it is not the other one.</summary>
internal sealed class ChosenDatapath : IDisposable
{
    /// <summary>The common beginning of all reports of it; the reason follows.</summary>
    public const string NoBpf = "bpf datapath cannot be used: ";

    private readonly KernelPrograms? _programs;

    /// <param name="datapath">The datapath in use; disposed of with this.</param>
    /// <param name="programs">The programs that it uses; null for none.</param>
    /// <param name="whyNotBpf">Why <c>auto</c> did not choose bpf; null if it did or was not asked for.</param>
    public ChosenDatapath(IDatapath datapath, KernelPrograms? programs = null, string? whyNotBpf = null)
    {
        Datapath = datapath;
        _programs = programs;
        WhyNotBpf = whyNotBpf;
    }

    public IDatapath Datapath { get; }

    /// <summary>Why <c>auto</c> did not choose bpf; null if it did or was not asked for.</summary>
    public string? WhyNotBpf { get; }

    /// <summary>Creates the datapath for a <paramref name="request"/>.</summary>
    /// <param name="request">The requested datapath.</param>
    /// <param name="maxNamespaces">The limit of network namespaces held at a time.</param>
    /// <param name="first">The first policy. It must fit into the kernel.</param>
    /// <param name="inherited">The state of a predecessor.</param>
    /// <param name="state">The file where changes are noted; null if there are none.</param>
    /// <param name="exempts">Decides which network namespaces are exempt from policies; null for none.</param>
    /// <param name="hostExempts">Decides which sockets of the node's own namespace are exempt from policies; null for none.</param>
    /// <param name="load">Loads the programs; null for the usual way.</param>
    /// <exception cref="DatapathException">bpf was asked for and is unavailable.</exception>
    public static ChosenDatapath Create(
        DatapathRequest request,
        int maxNamespaces,
        PolicySnapshot first,
        InheritedSockets inherited,
        StateFile? state,
        NamespaceExemption? exempts = null,
        HostExemption? hostExempts = null,
        Func<KernelPrograms>? load = null)
    {
        string? why = null;
        var options = new TrackingOptions
        {
            Only = request.Namespaces,
            MaxNamespaces = maxNamespaces,
            Inherited = inherited,
            State = state,
            Exempts = exempts,
            HostExempts = hostExempts,
        };
        if (request.Kind != DatapathKind.Pidfd)
        {
            why = request.Cgroup is { } cgroup ? BpfRequirements.WrongCgroup(cgroup) : null;
            why ??= request.Kind == DatapathKind.Auto ? BpfRequirements.WhyNotByDefault() : null;
            if (why is null && TryBpf(request, first, options, load ?? (() => KernelPrograms.Load()), out why) is { } chosen)
            {
                return chosen;
            }
            if (request.Kind == DatapathKind.Bpf)
            {
                throw new DatapathException(why!);
            }
        }
        return new ChosenDatapath(new PidfdDatapath(options), null, why);
    }

    public void Dispose()
    {
        Datapath.Dispose();
        _programs?.Dispose();
    }

    private static ChosenDatapath? TryBpf(
        DatapathRequest request,
        PolicySnapshot first,
        TrackingOptions options,
        Func<KernelPrograms> load,
        out string? whyNot)
    {
        var cgroup = request.Cgroup ?? BpfCgroups.Mount();
        whyNot = BpfRequirements.Missing() ?? (request.Attach && cgroup is null ? BpfRequirements.NoCgroup : null);
        if (whyNot is not null)
        {
            return null;
        }
        KernelPrograms? programs = null;
        BpfDatapath? datapath = null;
        try
        {
            programs = load();
            datapath = new BpfDatapath(options, programs, request.Attach ? cgroup : null);
            datapath.Prepare(first);
            return new ChosenDatapath(datapath, programs, null);
        }
        catch (Exception e) when (e is BpfException or LinuxException)
        {
            datapath?.Dispose();
            programs?.Dispose();
            whyNot = BpfRequirements.Explain(e);
            return null;
        }
    }
}
