using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Workloads;

/// <summary>Whose the cgroups of the version 2 hierarchy are, by their ids: a socket keeps the id of the cgroup that it was made in.</summary>
/// <remarks>
/// The hierarchy is walked when an id is not known. That needs no process to be in the cgroup any more, and it works in a container, which is shown other
/// paths of processes than the host. An id is the inode number of the cgroup's directory (kernfs) and is not used again.
/// </remarks>
/// <param name="time">The clock.</param>
/// <param name="mount">Where the hierarchy is mounted; null where it is not, so that no id is known.</param>
/// <param name="isAlone">Whether processes have no cgroups besides it. Else (version 1 beside 2) a container may have no cgroup of its own here.</param>
internal sealed class CgroupOwners(TimeProvider time, string? mount, bool isAlone)
{
    /// <summary>Cgroups that are known at a time.</summary>
    private const int Most = 1 << 16;

    /// <summary>Those below the cgroup of one owner, which can make any number of them. Of the others the socket's process or user decides.</summary>
    private const int MostOfOne = 256;

    private const int Deepest = 32;

    /// <summary>The least time between two walks.</summary>
    private static readonly TimeSpan s_apart = TimeSpan.FromSeconds(1);

    private readonly List<(ulong Id, string Name)> _children = [];
    private readonly Stack<(string Path, int Depth, int Owner)> _open = new();
    private readonly List<int> _leftOf = [];
    private readonly HashSet<ulong> _gone = [];
    private Dictionary<ulong, CgroupOwner> _byId = [];
    private long _nextWalk = time.GetTimestamp();

    /// <inheritdoc cref="CgroupOwners"/>
    public bool IsAlone => isAlone;

    /// <summary>How often the hierarchy was walked.</summary>
    public int Walks { get; private set; }

    /// <summary>Those of this machine.</summary>
    public static CgroupOwners OfNode(TimeProvider time) => new(time, CgroupDirectory.Mount(), !CgroupDirectory.HasVersion1());

    /// <summary>Whose a cgroup is; null where that is not known: it is gone, one of too many, or was made a moment ago.</summary>
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
        // Its socket was there before the walk began: no later one will find it.
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
                    _leftOf.Add(MostOfOne);
                }
                found[id] = owner;
                if (at.Depth < Deepest)
                {
                    _open.Push((path, at.Depth + 1, index));
                }
            }
        }
        _byId = found;
        // A hundredth of the time, where somebody goes on making cgroups.
        var pause = 100 * time.GetElapsedTime(begun);
        _nextWalk = time.GetTimestamp() + (long)((pause > s_apart ? pause : s_apart).TotalSeconds * time.TimestampFrequency);
    }
}
