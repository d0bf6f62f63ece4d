using Keepalive.Agent.Apply.Tracking;
using Keepalive.Linux;
using Keepalive.Linux.Processes;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>Does something with a socket while a descriptor of it is at hand.</summary>
internal interface IReachedSocket
{
    void Reached(in DuplicatedSocket descriptor, TrackedSocket socket);

    /// <summary>All sockets of one process were done.</summary>
    void EndProcess();
}

/// <summary>Finds, among the descriptors of processes, those of the wanted sockets.</summary>
/// <remarks>
/// New descriptors get the lowest free number, so the numbers not known yet are tried first and in order, and the search ends with the last
/// wanted socket: in a process of 18,000 known descriptors, a new one costs a few tries and no directory listing. What is known of a number
/// (no socket, another socket, a tracked one) goes stale when it is closed and used again; only if a socket was not found are those numbers tried too.
/// A descriptor counts only if its socket is in the namespace that the wanted one was seen in: what was judged there must not be applied to a socket
/// of another, and a socket's cookie alone does not tell (before Linux 5.7 each namespace has its own sequence). And it must still be between the two ends
/// that were judged: a socket keeps its cookie when it is connected to somebody else (connect(2), AF_UNSPEC).
/// </remarks>
internal sealed class OwnerSearch(ProcessTable processes, NamespaceInventory namespaces, PassBudget budget) : IDisposable
{
    /// <summary>Descriptors between two looks at the clock.</summary>
    private const int Stride = 64;

    /// <summary>Numbers in a row that are not open, after which those that are get listed: in a table of a million they may be few.</summary>
    private const int Sparse = 256;

    /// <summary>Processes whose tables others are compared with.</summary>
    private const int MostTables = 8;

    private readonly List<ProcessEntry> _candidates = [];
    private readonly List<int> _tables = [];
    private readonly List<int> _open = [];
    private readonly ForeignFiles _foreign = new();

    /// <summary>Whether the last search ended for want of time: where it did, the next one goes on.</summary>
    public bool IsCutShort { get; private set; }

    /// <summary>Whether a process of the last search could not be looked into, and why.</summary>
    public int DeniedBy { get; private set; }

    /// <summary>Whether a process of the last search was left alone because files of its owner do not close.</summary>
    public bool IsBarred { get; private set; }

    /// <summary>Brings the sockets of one process together.</summary>
    public static readonly Comparison<TrackedSocket> ByProcess = static (a, b) => a.Reach.Pid.CompareTo(b.Reach.Pid);

    /// <summary>Reaches sockets whose process and descriptor are known, in the order given, and adds those that have moved to
    /// <paramref name="lost"/>. Cheapest where the sockets of one process follow each other.</summary>
    public void Revisit<THandler>(List<TrackedSocket> sockets, List<TrackedSocket> lost, ref THandler handler)
        where THandler : struct, IReachedSocket
    {
        for (var i = 0; i < sockets.Count;)
        {
            var pid = sockets[i].Reach.Pid;
            using var process = ProcessDescriptor.TryOpen(pid, out _);
            for (; i < sockets.Count && sockets[i].Reach.Pid == pid; i++)
            {
                var socket = sockets[i];
                var number = socket.Reach.Descriptor;
                if (process is null || !TryReach(process, pid, number, socket, ref handler))
                {
                    processes.Find(pid)?.Forget(number);
                    socket.Reach.Lose();
                    lost.Add(socket);
                }
            }
            handler.EndProcess();
        }
    }

    /// <summary>Searches the namespace's processes for <paramref name="wanted"/>, those of the sockets' cgroups first; found ones are taken out.</summary>
    public void Search<THandler>(
        WatchedNamespace watched, Dictionary<ulong, TrackedSocket> wanted, bool everywhere, long pass, CancellationToken stop, ref THandler handler)
        where THandler : struct, IReachedSocket
    {
        (DeniedBy, IsBarred, IsCutShort) = (0, false, false);
        _candidates.Clear();
        _candidates.AddRange(processes.In(watched.Inode));
        Order(wanted);
        var search = new Quest(watched, wanted, pass, stop);
        SearchAll(search, Retry.None, ref handler);
        SearchAll(search, Retry.All, ref handler);
        if (everywhere && !IsCutShort)
        {
            // A socket may be held by a process that has left the namespace, or was given it by one that lives there.
            _candidates.Clear();
            _candidates.AddRange(processes.Outside(watched.Inode));
            SearchAll(search, Retry.All, ref handler);
        }
    }

    /// <summary>Goes on searching for what earlier searches had no time for, everywhere, from where the last one stopped.</summary>
    public void GoOn<THandler>(
        WatchedNamespace watched, Dictionary<ulong, TrackedSocket> wanted, long pass, CancellationToken stop, ref THandler handler)
        where THandler : struct, IReachedSocket
    {
        (DeniedBy, IsBarred, IsCutShort) = (0, false, false);
        var search = new Quest(watched, wanted, pass, stop) { Progress = watched.Progress };
        for (; ; search = search with { IsOutside = true })
        {
            _candidates.Clear();
            _candidates.AddRange(search.IsOutside ? processes.Outside(watched.Inode) : processes.In(watched.Inode));
            _candidates.Sort(static (a, b) => a.Pid.CompareTo(b.Pid));
            SearchAll(search, Retry.AllButTracked, ref handler);
            if (search.IsOutside || IsCutShort)
            {
                break;
            }
        }
        if (!IsCutShort)
        {
            watched.Progress.Clear();
        }
    }

    public void Dispose() => _foreign.Dispose();

    private void Order(Dictionary<ulong, TrackedSocket> wanted)
    {
        var cgroups = _candidates.Count > 8 ? wanted.Values.Select(s => s.Reach.CgroupId).ToHashSet() : [];
        _candidates.Sort((a, b) =>
        {
            var byCgroup = cgroups.Contains(b.CgroupId).CompareTo(cgroups.Contains(a.CgroupId));
            return cgroups.Count > 0 && byCgroup != 0 ? byCgroup : b.LastHit.CompareTo(a.LastHit);
        });
    }

    private void SearchAll<THandler>(in Quest search, Retry retry, ref THandler handler)
        where THandler : struct, IReachedSocket
    {
        _tables.Clear();
        foreach (var candidate in _candidates)
        {
            if (search.Wanted.Count == 0 || search.Stop.IsCancellationRequested)
            {
                IsCutShort |= search.Wanted.Count > 0;
                break;
            }
            budget.Stop();   // whose it is is found out on nobody's account
            // In a namespace of several, such as the node's own, nobody waits for what another's processes cost.
            var account = search.Watched.Account ?? candidate.Owner;
            if ((search.Progress is { } progress ? progress.From(account, search.IsOutside, candidate.Pid) : 0) is not { } from)
            {
                continue;
            }
            budget.Charge(account);
            if (budget.IsSpent)
            {
                IsCutShort = true;
                continue;
            }
            var stoppedAt = SearchOne(search, candidate, from, retry, ref handler);
            search.Progress?.Reached(account, search.IsOutside, candidate.Pid, stoppedAt);
            IsCutShort |= stoppedAt is not null;
            handler.EndProcess();
        }
        budget.Stop();
    }

    /// <summary>Searches one process; gives the descriptor that it stopped at for want of time.</summary>
    private int? SearchOne<THandler>(in Quest search, ProcessEntry candidate, int from, Retry retry, ref THandler handler)
        where THandler : struct, IReachedSocket
    {
        var wanted = search.Wanted;
        var size = ProcFs.DescriptorTableSize(candidate.Pid);
        if (size == 0 || HasBeenSearched(candidate.Pid, size))
        {
            return null;   // gone, a zombie or a kernel thread; or another's table
        }
        using var process = ProcessDescriptor.TryOpen(candidate.Pid, out _);
        if (process is null)
        {
            return null;
        }
        var kinds = processes.Descriptors(candidate, size, candidate.Owner);
        int absent = 0, looks = 0, listed = -1;
        for (var number = from; number < size && wanted.Count > 0; number++)
        {
            if (absent >= Sparse)
            {
                if (listed < 0)
                {
                    listed = _open.Count;
                }
                if (listed == _open.Count)
                {
                    ProcFs.ListDescriptors(candidate.Pid, number, _open);
                    listed = 0;
                }
                if (_open.Count == 0)
                {
                    break;
                }
                number = _open[listed++];
                if (number >= size)
                {
                    break;
                }
            }
            var kind = number < kinds.Length ? kinds[number] : DescriptorKind.Unknown;
            if (kind != DescriptorKind.Unknown && (retry == Retry.None || (retry == Retry.AllButTracked && kind == DescriptorKind.Tracked)))
            {
                continue;
            }
            if (++looks % Stride == 0 && (budget.IsSpent || search.Stop.IsCancellationRequested))
            {
                return number;
            }
            var isSocket = ProcFs.IsSocket(candidate.Pid, number);
            if (isSocket != true)
            {
                candidate.Forget(number);
                absent = isSocket is null ? absent + 1 : listed < 0 ? 0 : absent;
                if (isSocket is false && number < kinds.Length)
                {
                    kinds[number] = DescriptorKind.NoSocket;
                }
                continue;
            }
            if (_foreign.IsFull(candidate.Owner))
            {
                IsBarred = true;
                return null;
            }
            var errno = process.TryDuplicate(number, out var descriptor);
            if (errno != 0)
            {
                candidate.Forget(number);
                if (errno is Errno.EBADF)
                {
                    absent++;
                    continue;
                }
                DeniedBy = errno == Errno.ESRCH ? DeniedBy : errno;
                return null;
            }
            if (listed < 0)
            {
                absent = 0;
            }
            if (descriptor.TryGetCookie(out var cookie) != 0)
            {
                _foreign.Close(in descriptor, candidate.Owner);
                continue;
            }
            using (descriptor)
            {
                if (wanted.TryGetValue(cookie, out var socket) && IsAsJudged(in descriptor, socket))
                {
                    wanted.Remove(cookie);
                    kind = DescriptorKind.Tracked;
                    socket.Reach.Found(candidate.Pid, number);
                    handler.Reached(in descriptor, socket);
                    candidate.LastHit = search.Pass;
                }
                else if (kind != DescriptorKind.Tracked)
                {
                    kind = DescriptorKind.OtherSocket;
                }
                if (number < kinds.Length)
                {
                    kinds[number] = kind;
                }
            }
        }
        return null;
    }

    /// <summary>Whether a process has its descriptor table in common with one that this search has been through.</summary>
    private bool HasBeenSearched(int pid, int size)
    {
        if (size < Stride)
        {
            return false;   // dearer to compare than to search
        }
        foreach (var other in _tables)
        {
            if (ProcFs.ShareDescriptors(other, pid))
            {
                return true;
            }
        }
        if (_tables.Count == MostTables)
        {
            _tables.RemoveAt(0);
        }
        _tables.Add(pid);
        return false;
    }

    private bool IsAsJudged(in DuplicatedSocket descriptor, TrackedSocket socket)
    {
        if (namespaces.Find(socket.Namespace) is not { } watched || !descriptor.IsIn(watched.Handle.Identity))
        {
            return false;
        }
        var errno = descriptor.TryGetEndpoints(out var local, out var remote);
        if (local == socket.Local && (socket.Seen.State == TcpState.Listen || (errno == 0 && remote == socket.Remote)))
        {
            return true;
        }
        try
        {
            // During the handshake it has no peer yet, and a program of its cgroup may name another one: the kernel's own table decides.
            return watched.Handle.Diag.Has(socket.Cookie, socket.Local, socket.Remote);
        }
        catch (LinuxException)
        {
            return false;
        }
    }

    private bool TryReach<THandler>(ProcessDescriptor process, int pid, int number, TrackedSocket socket, ref THandler handler)
        where THandler : struct, IReachedSocket
    {
        var owner = processes.Find(pid)?.Owner;
        if (ProcFs.IsSocket(pid, number) != true || _foreign.IsFull(owner) || process.TryDuplicate(number, out var descriptor) != 0)
        {
            return false;
        }
        if (descriptor.TryGetCookie(out var cookie) != 0)
        {
            _foreign.Close(in descriptor, owner);
            return false;
        }
        using (descriptor)
        {
            if (cookie != socket.Cookie || !IsAsJudged(in descriptor, socket))
            {
                return false;
            }
            handler.Reached(in descriptor, socket);
            return true;
        }
    }

    /// <summary>Which numbers are tried of which something is known.</summary>
    private enum Retry
    {
        None,
        AllButTracked,
        All,
    }

    /// <summary>What is looked for, and how far.</summary>
    private readonly record struct Quest(WatchedNamespace Watched, Dictionary<ulong, TrackedSocket> Wanted, long Pass, CancellationToken Stop)
    {
        public bool IsOutside { get; init; }

        /// <summary>Where it goes on from, and keeps how far it comes; null where it begins anew.</summary>
        public SearchProgress? Progress { get; init; }
    }
}
