using Keepalive.Agent.Workloads;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>How far a search through processes has come that takes more than one pass, for each that is <see cref="Accountable"/> for some of them.</summary>
/// <remarks>Processes are taken in the order of their ids: first those of the namespace, then all others.</remarks>
internal sealed class SearchProgress
{
    private readonly Dictionary<string, (bool Outside, int Pid, int Descriptor)> _next = [];
    private long? _begun;

    /// <summary>The descriptor that a process is to be searched from; null where it has been searched.</summary>
    public int? From(string? account, bool outside, int pid)
    {
        if (!_next.TryGetValue(Accountable.Key(account), out var next) || (outside && !next.Outside))
        {
            return 0;
        }
        return next.Outside && !outside ? null : pid == next.Pid ? next.Descriptor : pid > next.Pid ? 0 : null;
    }

    /// <summary>A process has been searched up to a descriptor, or whole.</summary>
    public void Reached(string? account, bool outside, int pid, int? descriptor) =>
        _next[Accountable.Key(account)] = descriptor is { } number ? (outside, pid, number) : (outside, pid + 1, 0);

    /// <summary>The search goes on in a pass, or begins with it; gives the pass that it began with.</summary>
    public long GoOn(long pass) => _begun ??= pass;

    /// <summary>Begins anew.</summary>
    public void Clear()
    {
        _next.Clear();
        _begun = null;
    }
}
