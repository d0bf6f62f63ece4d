using Keepalive.Agent.Workloads;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>The progress of a search through processes that takes more than one pass, for each <see cref="Accountable"/> owner of
/// processes.</summary>
/// <remarks>Processes are searched in the order of their ids: first those of the namespace, then all others.</remarks>
internal sealed class SearchProgress
{
    private readonly Dictionary<string, (bool Outside, int Pid, int Descriptor)> _next = [];
    private long? _begun;

    /// <summary>The descriptor from which a process is to be searched; null if the process has been searched.</summary>
    public int? From(string? account, bool outside, int pid)
    {
        if (!_next.TryGetValue(Accountable.Key(account), out var next) || (outside && !next.Outside))
        {
            return 0;
        }
        return next.Outside && !outside ? null : pid == next.Pid ? next.Descriptor : pid > next.Pid ? 0 : null;
    }

    /// <summary>Notes that a process was searched up to a descriptor, or completely if the descriptor is null.</summary>
    public void Reached(string? account, bool outside, int pid, int? descriptor) =>
        _next[Accountable.Key(account)] = descriptor is { } number ? (outside, pid, number) : (outside, pid + 1, 0);

    /// <summary>Continues the search, or begins it with this pass. Returns the pass with which it began.</summary>
    public long GoOn(long pass) => _begun ??= pass;

    /// <summary>Ends the search; the next one begins anew.</summary>
    public void Clear()
    {
        _next.Clear();
        _begun = null;
    }
}
