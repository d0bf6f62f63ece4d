using Keepalive.Agent.Apply;
using Keepalive.Agent.Apply.Bpf;
using Keepalive.Agent.Apply.Pidfd;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Linux;
using Keepalive.Linux.Bpf;

namespace Keepalive.Agent.Running;

/// <summary>The datapath that was asked for cannot be had here.</summary>
internal sealed class DatapathException(string reason) : Exception(reason);

/// <summary>The datapath in use, and why it is not the other one.</summary>
internal sealed class ChosenDatapath : IDisposable
{
    private readonly KernelPrograms? _programs;

    private ChosenDatapath(IDatapath datapath, KernelPrograms? programs, string? whyNotBpf)
    {
        Datapath = datapath;
        _programs = programs;
        WhyNotBpf = whyNotBpf;
    }

    public IDatapath Datapath { get; }

    /// <summary>Why <c>auto</c> did not take bpf, null where it did or was not asked.</summary>
    public string? WhyNotBpf { get; }

    /// <summary>Makes the datapath that <paramref name="options"/> ask for.</summary>
    /// <param name="options">What was asked for.</param>
    /// <param name="first">The policy to begin with: it must fit into the kernel.</param>
    /// <param name="inherited">What a predecessor knew.</param>
    /// <param name="state">Where changes are noted; null where none are made.</param>
    /// <param name="attach">Whether new connections are to be set when they are established, too.</param>
    /// <param name="exempts">Which namespaces are left alone; null is none.</param>
    /// <param name="load">How the programs are loaded, where that is not the usual way.</param>
    /// <exception cref="DatapathException">bpf was asked for and cannot be had.</exception>
    public static ChosenDatapath Create(
        RunOptions options,
        PolicySnapshot first,
        InheritedSockets inherited,
        StateFile? state,
        bool attach,
        NamespaceExemption? exempts = null,
        Func<KernelPrograms>? load = null)
    {
        string? why = null;
        if (options.Datapath != DatapathKind.Pidfd)
        {
            why = options.Cgroup is { } cgroup ? BpfRequirements.WrongCgroup(cgroup) : null;
            why ??= options.Datapath == DatapathKind.Auto ? BpfRequirements.WhyNotByDefault() : null;
            if (why is null && TryBpf(options, first, inherited, state, attach, exempts, load ?? (() => KernelPrograms.Load()), out why) is { } chosen)
            {
                return chosen;
            }
            if (options.Datapath == DatapathKind.Bpf)
            {
                throw new DatapathException(why!);
            }
        }
        return new ChosenDatapath(new PidfdDatapath(TimeProvider.System, options.Namespaces, inherited, state, exempts), null, why);
    }

    public void Dispose()
    {
        Datapath.Dispose();
        _programs?.Dispose();
    }

    private static ChosenDatapath? TryBpf(
        RunOptions options,
        PolicySnapshot first,
        InheritedSockets inherited,
        StateFile? state,
        bool attach,
        NamespaceExemption? exempts,
        Func<KernelPrograms> load,
        out string? whyNot)
    {
        var cgroup = options.Cgroup ?? BpfCgroups.Mount();
        whyNot = BpfRequirements.Missing() ?? (attach && cgroup is null ? BpfRequirements.NoCgroup : null);
        if (whyNot is not null)
        {
            return null;
        }
        KernelPrograms? programs = null;
        BpfDatapath? datapath = null;
        try
        {
            programs = load();
            datapath = new BpfDatapath(TimeProvider.System, programs, options.Namespaces, inherited, state, attach ? cgroup : null, exempts);
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
