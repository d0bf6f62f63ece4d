using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Workloads;

/// <summary>Finds the owners of cgroups of the version 2 hierarchy by their ids. A socket keeps the id of the cgroup that it was made
/// in.</summary>
/// <remarks>
/// The hierarchy is walked when an id is unknown. This finds a cgroup even if it has no process any more. It also works in a container,
/// where the paths of processes differ from those on the host. An id is the inode number of the cgroup's directory (kernfs), and it is
/// never used again.
/// </remarks>
/// <param name="time">The clock.</param>
/// <param name="mount">The directory where the hierarchy is mounted; null if it is not mounted. All ids are then unknown.</param>
/// <param name="isAlone">Whether this is the only hierarchy. If not (versions 1 and 2 together), a container may have no cgroup of its own
/// here.</param>
internal sealed class CgroupOwners(TimeProvider time, string? mount, bool isAlone)
{
    /// <summary>The maximum number of cgroups that are known at a time.</summary>
    private const int Most = 1 << 16;

    /// <summary>The maximum number of known cgroups below the cgroup of one owner, because the owner can make any number of them. For
    /// sockets of the others, the process or the user decides.</summary>
    private const int MaxOfOne = 256;

    private const int Deepest = 32;

    /// <summary>The minimum time between two walks.</summary>
    private static readonly TimeSpan s_apart = TimeSpan.FromSeconds(1);

    private readonly List<(ulong Id, string Name)> _children = [];
    private readonly Stack<(string Path, int Depth, int Owner)> _open = new();
    private readonly List<int> _leftOf = [];
    private readonly HashSet<ulong> _gone = [];
    private Dictionary<ulong, CgroupOwner> _byId = [];
    private long _nextWalk = time.GetTimestamp();

    /// <inheritdoc cref="CgroupOwners"/>
    public bool IsAlone => isAlone;

    /// <summary>The number of walks so far.</summary>
    public int Walks { get; private set; }

    /// <summary>Returns the cgroups of this machine.</summary>
    public static CgroupOwners OfNode(TimeProvider time) => new(time, CgroupDirectory.Mount(), !CgroupDirectory.HasVersion1());

    /// <summary>Returns the owner of a cgroup; null if it is unknown. The cgroup may be gone, above a maximum number, or made a moment
    /// ago.</summary>
    public CgroupOwner? Find(ulong id)
    {
        if (id == 0 || mount is null)
        {
            return null;
        }
        if (_byId.TryGetValue(id, out var owner))
        {
            return owner;
        }
        if (time.GetTimestamp() < _nextWalk || _gone.Contains(id))
        {
            return null;
        }
        Walk(mount);
        if (_byId.TryGetValue(id, out owner))
        {
            return owner;
        }
        // The socket existed before the walk began, and so did its cgroup. A later walk will not find it either.
        if (_gone.Count >= Most)
        {
            _gone.Clear();
        }
        _gone.Add(id);
        return null;
    }

    private void Walk(string root)
    {
        Walks++;
        var begun = time.GetTimestamp();
        var found = new Dictionary<ulong, CgroupOwner>(_byId.Count) { [ProcFs.Inode(root)] = CgroupOwner.Nobody };
        var owners = new List<CgroupOwner>();
        _leftOf.Clear();
        _open.Clear();
        _open.Push(("", 0, -1));
        while (_open.TryPop(out var at))
        {
            CgroupDirectory.ListChildren(root + at.Path, _children);
            foreach (var (id, name) in _children)
            {
                if (found.Count >= Most)
                {
                    break;
                }
                var (path, index) = ($"{at.Path}/{name}", at.Owner);
                var owner = index >= 0 ? owners[index] : CgroupOwner.OfPath(path);
                if (index >= 0 && --System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_leftOf)[index] < 0)
                {
                    break;
                }
                if (index < 0 && owner.IsDecided)
                {
                    index = owners.Count;
                    owners.Add(owner);
                    _leftOf.Add(MaxOfOne);
                }
                found[id] = owner;
                if (at.Depth < Deepest)
                {
                    _open.Push((path, at.Depth + 1, index));
                }
            }
        }
        _byId = found;
        // Walks take at most one percent of the time, even if somebody makes new cgroups all the time.
        var pause = 100 * time.GetElapsedTime(begun);
        _nextWalk = time.GetTimestamp() + (long)((pause > s_apart ? pause : s_apart).TotalSeconds * time.TimestampFrequency);
    }
}
