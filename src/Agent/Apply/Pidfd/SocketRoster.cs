using Keepalive.Linux.Netlink;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>The sockets that the last reading of a namespace has shown, so that the next one can ask for each.</summary>
internal sealed class SocketRoster
{
    /// <summary>The maximum number of sockets. To ask for more costs as much as a dump.</summary>
    public const int Most = 256;

    private readonly List<SocketIdentity> _sockets = [];
    private readonly HashSet<uint> _inodes = [];
    private readonly HashSet<uint> _others = [];
    private int _failures;
    private int _pause;

    /// <summary>The sockets, if they are not too many.</summary>
    public List<SocketIdentity> Sockets => _sockets;

    /// <summary>Whether the last reading has shown no more sockets than are kept.</summary>
    public bool IsWhole { get; private set; }

    /// <summary>The time of the last dump.</summary>
    public long DumpedAt { get; private set; }

    /// <summary>Whether an inode is that of one of them, or of a socket that was <see cref="Exclude">excluded</see>.</summary>
    public bool Has(uint inode) => _inodes.Contains(inode) || _others.Contains(inode);

    /// <summary>Notes an inode that is no connection of this namespace.</summary>
    public void Exclude(uint inode) => _others.Add(inode);

    /// <summary>Begins a dump, which adds its sockets.</summary>
    public void BeginDump(long now)
    {
        Begin();
        _others.Clear();
        DumpedAt = now;
    }

    /// <summary>Begins another reading, which adds its sockets.</summary>
    public void Begin()
    {
        _sockets.Clear();
        _inodes.Clear();
        IsWhole = true;
    }

    public void Add(in SocketIdentity socket, uint inode)
    {
        if (_sockets.Count >= Most)
        {
            IsWhole = false;
            return;
        }
        _sockets.Add(socket);
        if (inode != 0)
        {
            _inodes.Add(inode);
        }
    }

    /// <summary>Notes whether a reading without a dump has shown all sockets. Where it has not again and again, it is tried less and less
    /// often.</summary>
    public void Tried(bool isComplete)
    {
        const int most = 6;
        _failures = isComplete ? 0 : Math.Min(_failures + 1, most);
        _pause = (1 << _failures) - 1;
    }

    /// <summary>Whether it is tried now.</summary>
    public bool IsDue() => _pause == 0 || --_pause == 0;
}
