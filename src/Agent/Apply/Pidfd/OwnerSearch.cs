using Keepalive.Agent.Apply.Tracking;
using Keepalive.Linux;
using Keepalive.Linux.Processes;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>Handles a socket while a descriptor of it is open.</summary>
internal interface IReachedSocket
{
    /// <summary>Whether nothing has to be done. Only the cookie of the socket is known to be right: nothing may be written to it.</summary>
    bool IsDone(in DuplicatedSocket descriptor, TrackedSocket socket);

    /// <returns>Whether it has taken the descriptor (<see cref="DuplicatedSocket.Hold"/>), and disposes of it until
    /// <see cref="EndProcess"/> returns.</returns>
    bool Reached(in DuplicatedSocket descriptor, TrackedSocket socket);

    /// <summary>Called after all sockets of one process.</summary>
    void EndProcess();
}

/// <summary>Finds the descriptors of the wanted sockets among those of all processes.</summary>
/// <remarks>
/// New descriptors get the lowest free number. So the search tries the unknown numbers first, in order, and ends with the last wanted
/// socket. In a process of 18,000 known descriptors, a new one costs a few tries and no directory listing.
/// The known kind of a number (no socket, another socket, a tracked one) becomes wrong when the number is closed and used again. So if a
/// socket was not found, the search tries those numbers, too.
/// A descriptor counts only if its socket is in the namespace in which the wanted one was seen: a decision for one namespace must not be
/// applied to a socket of another. The cookie alone does not show this, because before Linux 5.7 each namespace has its own sequence of
/// cookies. The socket must also still have the two ends that were judged: it keeps its cookie when it is connected to another peer
/// (connect(2), AF_UNSPEC).
/// </remarks>
internal sealed class OwnerSearch(ProcessTable processes, NamespaceInventory namespaces, PassBudget budget, TimeProvider time) : IDisposable
{
    /// <summary>Descriptors between two checks of the clock.</summary>
    private const int Stride = 64;

    /// <summary>From this number of looks on, a look from the directory of the descriptors costs less than the whole path.</summary>
    private const int ManyLooks = 16;

    /// <summary>Room for the list of a short table: some 170 descriptors. All of them are looked at in each search, which costs less than to
    /// try the numbers that were not open before.</summary>
    private const int ShortList = 4096;

    /// <summary>Room for a part of the list of a longer one: some 1,300 descriptors.</summary>
    private const int LongList = 32 * 1024;

    /// <summary>After this many unused numbers in a row, the open numbers are listed: in a table of a million they may be few.</summary>
    private const int Sparse = 256;

    /// <summary>The number of processes with whose descriptor tables others are compared.</summary>
    private const int MaxTables = 8;

    private readonly List<ProcessEntry> _candidates = [];
    private readonly List<int> _tables = [];
    private readonly List<int> _open = [];
    private readonly HashSet<int> _done = [];
    private readonly HashSet<ulong> _inodes = [];
    private readonly ForeignFiles _foreign = new(time);

    /// <summary>Whether the last search ended because its time was used up. The next one then continues it.</summary>
    public bool IsCutShort { get; private set; }

    /// <summary>The errno of a process that the last search could not examine; 0 if there was none.</summary>
    public int DeniedBy { get; private set; }

    /// <summary>Whether the last search skipped a process because files of its owner do not close.</summary>
    public bool IsBarred { get; private set; }

    /// <summary>Orders sockets by process.</summary>
    public static readonly Comparison<TrackedSocket> ByProcess = static (a, b) => a.Reach.Pid.CompareTo(b.Reach.Pid);

    /// <summary>Reaches sockets whose process and descriptor are known, in the order given, and adds those that are no longer there to
    /// <paramref name="lost"/>. This costs least if the sockets of one process follow each other.</summary>
    public void Revisit<THandler>(List<TrackedSocket> sockets, List<TrackedSocket> lost, ref THandler handler)
        where THandler : struct, IReachedSocket
    {
        for (var i = 0; i < sockets.Count;)
        {
            var pid = sockets[i].Reach.Pid;
            var end = i + 1;
            while (end < sockets.Count && sockets[end].Reach.Pid == pid)
            {
                end++;
            }
            using var process = ProcessDescriptor.TryOpen(pid, out _);
            // Opening the directory costs as much as some looks by the whole path.
            using var directory = end - i >= ManyLooks && !_foreign.Trusts(processes.Find(pid)?.Owner) ? DescriptorDirectory.TryOpen(pid) : null;
            for (; i < end; i++)
            {
                var socket = sockets[i];
                var number = socket.Reach.Descriptor;
                if (process is null || !TryReach(process, directory, pid, number, socket, ref handler))
                {
                    processes.Find(pid)?.Forget(number);
                    socket.Reach.Lose();
                    lost.Add(socket);
                }
            }
            handler.EndProcess();
        }
    }

    /// <summary>Searches the processes of the namespace for <paramref name="wanted"/>, and begins with the cgroups of the sockets. Found
    /// sockets are removed from <paramref name="wanted"/>. If the search comes across one of <paramref name="leftOver"/>, for which an
    /// earlier search had no time, it takes that, too.</summary>
    public void Search<THandler>(
        WatchedNamespace watched, Dictionary<ulong, TrackedSocket> wanted, Dictionary<ulong, TrackedSocket> leftOver, bool everywhere, long pass,
        CancellationToken stop, ref THandler handler)
        where THandler : struct, IReachedSocket
    {
        (DeniedBy, IsBarred, IsCutShort) = (0, false, false);
        _candidates.Clear();
        _candidates.AddRange(processes.In(watched.Inode));
        Order(wanted);
        _done.Clear();
        Note(wanted, leftOver);
        var search = new Quest(watched, wanted, pass, stop) { LeftOver = leftOver };
        SearchAll(search, Retry.None, ref handler);
        SearchAll(search, Retry.All, ref handler);
        if (everywhere && !IsCutShort)
        {
            // The file of an SMC socket that fell back to TCP keeps the inode of the SMC socket (net/smc/af_smc.c).
            _done.Clear();
            SearchAll(search with { TriesAll = true }, Retry.All, ref handler);
            // A process that has left the namespace may hold the socket, or one that received it from a process in the namespace.
            _candidates.Clear();
            _candidates.AddRange(processes.Outside(watched.Inode));
            SearchAll(search, Retry.All, ref handler);
        }
    }

    /// <summary>Continues the search for sockets for which earlier searches had no time: in all processes, from the point at which the
    /// last search stopped.</summary>
    public void GoOn<THandler>(
        WatchedNamespace watched, Dictionary<ulong, TrackedSocket> wanted, long pass, CancellationToken stop, ref THandler handler)
        where THandler : struct, IReachedSocket
    {
        (DeniedBy, IsBarred, IsCutShort) = (0, false, false);
        _done.Clear();
        Note(wanted, []);
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

    /// <summary>Duplicates a descriptor that looks like a socket.</summary>
    /// <param name="holder">The process that has it.</param>
    /// <param name="number">Its number.</param>
    /// <param name="process">The same process; opened when it is needed.</param>
    /// <param name="descriptor">The duplicate, to be disposed unless this fails.</param>
    /// <param name="cookie">The cookie of its socket.</param>
    public bool TryDuplicate(ProcessEntry holder, int number, ref ProcessDescriptor? process, out DuplicatedSocket descriptor, out ulong cookie) =>
        Duplicate(holder, number, ref process, out descriptor, out cookie) == Finding.OtherSocket;

    public void Dispose() => _foreign.Dispose();

    private void Note(Dictionary<ulong, TrackedSocket> wanted, Dictionary<ulong, TrackedSocket> leftOver)
    {
        _inodes.Clear();
        _inodes.UnionWith(wanted.Values.Select(static socket => (ulong)socket.Reach.Inode));
        _inodes.UnionWith(leftOver.Values.Select(static socket => (ulong)socket.Reach.Inode));
    }

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
            if (_done.Contains(candidate.Pid))
            {
                continue;
            }
            budget.Stop();   // the search for its owner is charged to no account
            // If a namespace has processes of several owners, as the node's own has, each owner is charged for its own processes.
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

    /// <summary>Searches one process. Returns the descriptor at which its time was used up; null if the process is done.</summary>
    private int? SearchOne<THandler>(in Quest search, ProcessEntry candidate, int from, Retry retry, ref THandler handler)
        where THandler : struct, IReachedSocket
    {
        using var directory = DescriptorDirectory.TryOpen(candidate.Pid);
        if (directory is null)
        {
            return null;   // gone
        }
        ProcessDescriptor? process = null;
        try
        {
            if (candidate.Kinds.Length == 0 && directory.List(from, stackalloc byte[ShortList], _open))
            {
                var stoppedAt = SearchShort(search, candidate, directory, ref process, ref handler);
                if (stoppedAt is null)
                {
                    _done.Add(candidate.Pid);
                }
                return stoppedAt;
            }
            return SearchLong(search, candidate, directory, from, retry, ref process, ref handler);
        }
        finally
        {
            process?.Dispose();
        }
    }

    /// <summary>Searches the descriptors that were listed.</summary>
    private int? SearchShort<THandler>(
        in Quest search, ProcessEntry candidate, DescriptorDirectory directory, ref ProcessDescriptor? process, ref THandler handler)
        where THandler : struct, IReachedSocket
    {
        var looks = 0;
        foreach (var number in _open)
        {
            if (search.Wanted.Count == 0)
            {
                break;
            }
            if (++looks % Stride == 0 && (budget.IsSpent || search.Stop.IsCancellationRequested))
            {
                return number;
            }
            if (LookAt(search, candidate, directory, number, ref process, ref handler) == Finding.Barred)
            {
                break;
            }
        }
        return null;
    }

    private int? SearchLong<THandler>(
        in Quest search, ProcessEntry candidate, DescriptorDirectory directory, int from, Retry retry, ref ProcessDescriptor? process, ref THandler handler)
        where THandler : struct, IReachedSocket
    {
        var wanted = search.Wanted;
        var size = ProcFs.DescriptorTableSize(candidate.Pid);
        if (size == 0 || HasBeenSearched(candidate.Pid, size))
        {
            return null;   // gone, a zombie, a kernel thread, or a table that was searched already
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
                    ListOpen(directory, number);
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
            var finding = LookAt(search, candidate, directory, number, ref process, ref handler);
            if (finding == Finding.Barred)
            {
                return null;
            }
            if (finding == Finding.Nothing)
            {
                candidate.Forget(number);
                absent++;
                continue;
            }
            absent = listed < 0 ? 0 : absent;
            if (number < kinds.Length)
            {
                kinds[number] = finding switch
                {
                    Finding.Wanted => DescriptorKind.Tracked,
                    Finding.OtherSocket => kind == DescriptorKind.Tracked ? kind : DescriptorKind.OtherSocket,
                    _ => DescriptorKind.NoSocket,
                };
            }
        }
        return null;
    }

    private void ListOpen(DescriptorDirectory directory, int from) => directory.List(from, stackalloc byte[LongList], _open);

    /// <summary>Looks at one descriptor, and duplicates it if its socket may be a wanted one: the inode number alone proves nothing. The
    /// process is opened when that is first needed.</summary>
    private Finding LookAt<THandler>(
        in Quest search, ProcessEntry candidate, DescriptorDirectory directory, int number, ref ProcessDescriptor? process, ref THandler handler)
        where THandler : struct, IReachedSocket
    {
        switch (directory.SocketInode(number))
        {
            case null:
                return Finding.Nothing;
            case 0:
                return Finding.NoSocket;
            case { } inode when !search.TriesAll && !_inodes.Contains(inode):
                return Finding.OtherSocket;
        }
        var finding = Duplicate(candidate, number, ref process, out var descriptor, out var cookie);
        if (finding != Finding.OtherSocket)
        {
            return finding;
        }
        var isTaken = false;
        try
        {
            if (search.Find(cookie) is not { } socket || !IsAsJudged(in descriptor, socket))
            {
                return Finding.OtherSocket;
            }
            search.Remove(cookie);
            socket.Reach.Found(candidate.Pid, number);
            candidate.LastHit = search.Pass;
            isTaken = handler.Reached(in descriptor, socket);
            return Finding.Wanted;
        }
        finally
        {
            if (!isTaken)
            {
                descriptor.Dispose();
            }
        }
    }

    /// <summary>Duplicates a descriptor that looks like a socket. If this fails, there is nothing to dispose.</summary>
    private Finding Duplicate(ProcessEntry candidate, int number, ref ProcessDescriptor? process, out DuplicatedSocket descriptor, out ulong cookie)
    {
        descriptor = default;
        cookie = 0;
        if (_foreign.IsFull(candidate.Owner))
        {
            IsBarred = true;
            return Finding.Barred;
        }
        process ??= ProcessDescriptor.TryOpen(candidate.Pid, out _);
        if (process is null)
        {
            return Finding.Barred;   // gone
        }
        var errno = process.TryDuplicate(number, out descriptor);
        if (errno != 0)
        {
            if (errno is Errno.EBADF)
            {
                return Finding.Nothing;
            }
            DeniedBy = errno == Errno.ESRCH ? DeniedBy : errno;
            return Finding.Barred;
        }
        if (descriptor.TryGetCookie(out cookie) != 0)
        {
            _foreign.Close(in descriptor, candidate.Owner);
            return Finding.NoSocket;
        }
        return Finding.OtherSocket;
    }

    /// <summary>Whether a process shares its descriptor table with one that this search has already searched.</summary>
    private bool HasBeenSearched(int pid, int size)
    {
        if (size < Stride)
        {
            return false;   // a comparison costs more than the search
        }
        foreach (var other in _tables)
        {
            if (ProcFs.ShareDescriptors(other, pid))
            {
                return true;
            }
        }
        if (_tables.Count == MaxTables)
        {
            _tables.RemoveAt(0);
        }
        _tables.Add(pid);
        return false;
    }

    /// <summary>Whether no socket of another namespace has its cookie, as since Linux 5.7. A namespace has had one itself since 5.14.</summary>
    private bool AreCookiesUnique(TrackedSocket socket) => namespaces.Find(socket.Namespace) is { Handle.Identity.Cookie: not 0 };

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
            // During the handshake the socket has no peer yet, and a BPF program of its cgroup may report another one. The kernel's own
            // table decides.
            return watched.Handle.Diag.Has(socket.Cookie, socket.Local, socket.Remote);
        }
        catch (LinuxException)
        {
            return false;
        }
    }

    private bool TryReach<THandler>(
        ProcessDescriptor process, DescriptorDirectory? directory, int pid, int number, TrackedSocket socket, ref THandler handler)
        where THandler : struct, IReachedSocket
    {
        var owner = processes.Find(pid)?.Owner;
        if ((!_foreign.Trusts(owner) && (directory is null ? ProcFs.SocketInode(pid, number) : directory.SocketInode(number)) is null or 0)
            || _foreign.IsFull(owner) || process.TryDuplicate(number, out var descriptor) != 0)
        {
            return false;
        }
        if (descriptor.TryGetCookie(out var cookie) != 0)
        {
            _foreign.Close(in descriptor, owner);
            return false;
        }
        var isTaken = false;
        try
        {
            if (cookie != socket.Cookie)
            {
                return false;
            }
            if (AreCookiesUnique(socket) && handler.IsDone(in descriptor, socket))
            {
                return true;
            }
            if (!IsAsJudged(in descriptor, socket))
            {
                return false;
            }
            isTaken = handler.Reached(in descriptor, socket);
            return true;
        }
        finally
        {
            if (!isTaken)
            {
                descriptor.Dispose();
            }
        }
    }

    /// <summary>The result of a look at a descriptor.</summary>
    private enum Finding
    {
        /// <summary>It is not open.</summary>
        Nothing,
        NoSocket,
        OtherSocket,
        Wanted,

        /// <summary>The process is gone, or its descriptors must not be duplicated.</summary>
        Barred,
    }

    /// <summary>Which numbers of a known kind are tried.</summary>
    private enum Retry
    {
        None,
        AllButTracked,
        All,
    }

    /// <summary>The wanted sockets, and the limits of the search.</summary>
    private readonly record struct Quest(WatchedNamespace Watched, Dictionary<ulong, TrackedSocket> Wanted, long Pass, CancellationToken Stop)
    {
        public bool IsOutside { get; init; }

        /// <summary>Whether sockets are duplicated whatever their inode.</summary>
        public bool TriesAll { get; init; }

        /// <summary>Sockets that are taken if the search comes across them, but do not prolong it.</summary>
        public Dictionary<ulong, TrackedSocket>? LeftOver { get; init; }

        /// <summary>The point from which the search continues, and the record of its progress; null if it begins anew.</summary>
        public SearchProgress? Progress { get; init; }

        public TrackedSocket? Find(ulong cookie) => Wanted.GetValueOrDefault(cookie) ?? LeftOver?.GetValueOrDefault(cookie);

        public void Remove(ulong cookie) => _ = Wanted.Remove(cookie) || (LeftOver?.Remove(cookie) ?? false);
    }
}
