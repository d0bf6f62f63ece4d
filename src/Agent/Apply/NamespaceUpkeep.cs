using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Namespaces;

namespace Keepalive.Agent.Apply;

/// <summary>Which namespaces a pass looks at, and what becomes of what is known of sockets: the same for every way of reaching them.</summary>
/// <remarks>A namespace is looked at only when its connection counters moved, the policy changed, a socket waits for another try, or for want of all
/// that once in <see cref="DumpPeriod"/>.</remarks>
/// <param name="time">The clock of dumps.</param>
/// <param name="processes">Who lives where.</param>
/// <param name="namespaces">The namespaces.</param>
/// <param name="inherited">What a predecessor knew; emptied as its sockets are met again.</param>
/// <param name="state">Where changes are noted; null where none are made or kept.</param>
/// <param name="looksEverywhere">Whether the namespaces are all of the node's.</param>
internal sealed class NamespaceUpkeep(
    TimeProvider time, ProcessTable processes, NamespaceInventory namespaces, InheritedSockets inherited, StateFile? state, bool looksEverywhere)
{
    /// <summary>Every tracked socket's values are read at least this often.</summary>
    public static readonly TimeSpan AuditPeriod = TimeSpan.FromSeconds(50);

    /// <summary>Every namespace is dumped at least this often. A dump walks the whole node's table; that something came or went is told by
    /// the counters, and that a socket is gone also by the reading of its values.</summary>
    public static readonly TimeSpan DumpPeriod = TimeSpan.FromMinutes(10);

    /// <summary>Opens namespaces that are new and releases those nobody lives in.</summary>
    /// <param name="sink">Is told which are gone.</param>
    /// <param name="release">Called with the inode number of each before it is released.</param>
    public void Update(ISocketSink sink, Action<ulong>? release = null) => namespaces.Update(gone =>
    {
        release?.Invoke(gone.Inode);
        foreach (var socket in gone.Sockets.Values)
        {
            Forget(socket);
        }
        sink.NamespaceGone(gone.Inode);
    });

    /// <summary>Whether a namespace is to be dumped in this pass.</summary>
    /// <param name="watched">The namespace.</param>
    /// <param name="pass">The pass.</param>
    /// <param name="activity">Its counters, read before the dump: a connection made between the two is seen by both, and only costs another look.</param>
    public bool MustDump(WatchedNamespace watched, PassContext pass, out TcpActivity activity)
    {
        activity = watched.Handle.Counters.Read();
        return pass.Scope.Full
            || !ReferenceEquals(watched.ComparedWith, pass.Policy)
            || activity != watched.Activity
            || watched.NextTry <= pass.Number
            || (pass.Scope.WantsTimers(watched.Inode) && watched.Sockets.Count > 0)
            || time.GetTimestamp() >= watched.DumpAt;
    }

    /// <summary>A namespace has been dumped: what was not seen is gone.</summary>
    public void Dumped(WatchedNamespace watched, PolicySnapshot policy, TcpActivity activity)
    {
        watched.ComparedWith = policy;
        watched.Activity = activity;
        watched.DumpAt = NextDump(watched);
        foreach (var (cookie, socket) in watched.Sockets)
        {
            // A socket that no rule selects and of which nothing is remembered needs no place here either.
            var idle = socket is { Rule: null, Memory: null, Unsettled: false, Replaced: null };
            if (socket.SeenInDump != watched.Dumps || idle)
            {
                watched.Sockets.Remove(cookie);
                Forget(socket);
            }
        }
    }

    /// <summary>Ends a pass. After one over everything, what was inherited and not met is of sockets that are gone.</summary>
    public void EndPass(PassScope scope, int failures)
    {
        if (scope.Full && !scope.DryRun && looksEverywhere && failures == 0)
        {
            foreach (var (netns, cookie) in inherited.Keys)
            {
                state?.Note(netns, cookie, null);
            }
            inherited.Clear();
        }
        if (scope.Full)
        {
            inherited.Arriving.Clear();
        }
        state?.Confirm();
        state?.CompactWhenWorthwhile(Remembered);
    }

    /// <summary>A period from now; less after the first dump, so that namespaces found together are not dumped together.</summary>
    private long NextDump(WatchedNamespace watched)
    {
        const int shares = 64;
        var period = DumpPeriod.TotalSeconds * time.TimestampFrequency;
        return time.GetTimestamp() + (long)(watched.Dumps > 1 ? period : period * (1 + (watched.Inode % shares)) / shares);
    }

    private void Forget(TrackedSocket socket)
    {
        socket.Gone = true;
        processes.Find(socket.Pid)?.Forget(socket.Descriptor);
        if (socket.Memory is not null)
        {
            state?.Note(socket.Namespace, socket.Cookie, null);
        }
    }

    private Dictionary<(ulong, ulong), SocketMemory> Remembered()
    {
        var known = new Dictionary<(ulong, ulong), SocketMemory>(inherited);
        foreach (var watched in namespaces.Watched)
        {
            foreach (var socket in watched.Sockets.Values)
            {
                if (socket.Memory is { } memory)
                {
                    known[(socket.Namespace, socket.Cookie)] = memory;
                }
            }
        }
        return known;
    }
}
