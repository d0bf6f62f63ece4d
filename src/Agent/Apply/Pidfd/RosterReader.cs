using System.Runtime.InteropServices;
using Keepalive.Agent.Apply.Tracking;
using Keepalive.Linux.Namespaces;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Processes;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>Reads the sockets of a namespace without a dump: it asks for each socket of the last reading, and for each new one among the
/// descriptors of the namespace's processes.</summary>
/// <remarks>
/// A dump walks the table of the whole machine: 1.4 ms with 20,000 sockets, for a namespace of ten. The kernel counts the established
/// connections of a namespace (tcpCurrEstab). If as many were found, none is missing. Sockets may be held by processes elsewhere, wait to be
/// accepted, or be opened and closed meanwhile: then the numbers differ, and a dump follows.
/// </remarks>
/// <param name="processes">The processes of each namespace.</param>
/// <param name="owners">Duplicates descriptors.</param>
internal sealed class RosterReader(ProcessTable processes, OwnerSearch owners)
{
    /// <summary>The maximum number of processes whose descriptors are listed.</summary>
    private const int MostProcesses = 64;

    /// <summary>The maximum number of their descriptors. To look at more costs as much as a dump.</summary>
    private const int MostDescriptors = 512;

    /// <summary>Room for the list of the descriptors of one process, some 170.</summary>
    private const int ListSize = 4096;

    private readonly List<int> _open = [];
    private readonly List<SocketIdentity> _wanted = [];
    private readonly Dictionary<ulong, Holder> _new = [];
    private readonly List<Found> _found = [];
    private bool? _countsCloseWait;
    private int _looks;

    /// <summary>Namespaces that were read without a dump.</summary>
    public long Read { get; private set; }

    /// <summary>Reads the namespace of an intake and passes its sockets on. Returns false if sockets may be missing; nothing was passed on
    /// then.</summary>
    /// <exception cref="Linux.LinuxException">The kernel refused or did not answer.</exception>
    public bool TryRead(SocketRoster roster, DumpIntake intake)
    {
        var watched = intake.Watched;
        var before = watched.Handle.Counters.Read();
        _wanted.Clear();
        _wanted.AddRange(roster.Sockets);
        _new.Clear();
        _found.Clear();
        if (!TryFindNew(roster, watched))
        {
            return false;
        }
        var visitor = new Visitor(_found, watched.IsShared);
        watched.Handle.Diag.Find(CollectionsMarshal.AsSpan(_wanted), intake.Pass.Scope.States, ref visitor);
        if (!IsComplete(before) || watched.Handle.Counters.Read() != before)
        {
            return false;
        }
        roster.Begin();
        foreach (ref readonly var found in CollectionsMarshal.AsSpan(_found))
        {
            roster.Add(new SocketIdentity(found.Seen.Cookie, found.Seen.Local, found.Seen.Remote), found.Inode);
            var socket = intake.Take(found.Seen);
            if (socket is not null)
            {
                (socket.Reach.Inode, socket.Reach.CgroupId) = (found.Inode, found.CgroupId);
            }
            if (_new.Remove(found.Seen.Cookie, out var holder) && socket is { Reach.Pid: 0 })
            {
                socket.Reach.Found(holder.Pid, holder.Descriptor);
            }
        }
        foreach (var other in _new.Values)
        {
            roster.Exclude(other.Inode);   // of another protocol, or closed meanwhile
        }
        Read++;
        return true;
    }

    /// <summary>Learns from a dump whether tcpCurrEstab includes connections in CLOSE-WAIT, as it does since Linux 6.10
    /// (net/ipv4/tcp.c, tcp_set_state).</summary>
    /// <param name="activity">The counters, which were the same before and after the dump.</param>
    /// <param name="established">Sockets of the dump in ESTABLISHED.</param>
    /// <param name="closeWait">Those in CLOSE-WAIT.</param>
    public void Learn(TcpActivity activity, int established, int closeWait)
    {
        if (closeWait > 0)
        {
            _countsCloseWait = activity.Established == (ulong)(established + closeWait) ? true
                : activity.Established == (ulong)established ? false : _countsCloseWait;
        }
    }

    private bool IsComplete(TcpActivity activity)
    {
        var (established, closeWait) = (0, 0);
        foreach (ref readonly var found in CollectionsMarshal.AsSpan(_found))
        {
            established += found.Seen.State == TcpState.Established ? 1 : 0;
            closeWait += found.Seen.State == TcpState.CloseWait ? 1 : 0;
        }
        return (closeWait == 0 || _countsCloseWait is not null)
            && activity.Established == (ulong)(established + (_countsCloseWait is true ? closeWait : 0));
    }

    /// <summary>Adds the sockets among the descriptors of a namespace's processes that the last reading did not show. Returns false if there
    /// are too many descriptors.</summary>
    private bool TryFindNew(SocketRoster roster, WatchedNamespace watched)
    {
        var members = processes.In(watched.Inode);
        _looks = 0;
        return members.Count <= MostProcesses && members.All(member => TryFindNew(roster, watched, member));
    }

    private bool TryFindNew(SocketRoster roster, WatchedNamespace watched, ProcessEntry member)
    {
        using var directory = DescriptorDirectory.TryOpen(member.Pid);
        if (directory is null)
        {
            return true;   // gone
        }
        if (!directory.List(0, stackalloc byte[ListSize], _open) || (_looks += _open.Count) > MostDescriptors)
        {
            return false;
        }
        ProcessDescriptor? process = null;
        try
        {
            foreach (var number in _open)
            {
                if (directory.SocketInode(number) is not ({ } inode and not 0) || roster.Has((uint)inode))
                {
                    continue;
                }
                if (!owners.TryDuplicate(member, number, ref process, out var descriptor, out var cookie))
                {
                    return process is null;   // gone, or it does not let itself be examined
                }
                using (descriptor)
                {
                    if (descriptor.IsIn(watched.Handle.Identity) && descriptor.TryGetEndpoints(out var local, out var remote) == 0)
                    {
                        // It may have several descriptors, or have waited to be accepted: counted twice, it would stand for another one.
                        if (_new.TryAdd(cookie, new Holder(member.Pid, number, (uint)inode)) && !_wanted.Exists(socket => socket.Cookie == cookie))
                        {
                            _wanted.Add(new SocketIdentity(cookie, local, remote));
                        }
                    }
                    else
                    {
                        roster.Exclude((uint)inode);
                    }
                }
            }
            return true;
        }
        finally
        {
            process?.Dispose();
        }
    }

    /// <summary>A descriptor of a socket.</summary>
    private readonly record struct Holder(int Pid, int Descriptor, uint Inode);

    /// <summary>A socket as the kernel has shown it.</summary>
    private readonly record struct Found(SeenSocket Seen, uint Inode, ulong CgroupId);

    private readonly struct Visitor(List<Found> found, bool isShared) : ISockDiagVisitor
    {
        public void Visit(in DiagnosedSocket socket) => found.Add(new Found(DumpVisitor.ToSeen(in socket, isShared), socket.Inode, socket.CgroupId));
    }
}
