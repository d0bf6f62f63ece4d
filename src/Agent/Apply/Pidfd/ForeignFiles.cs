using Keepalive.Agent.Workloads;
using Keepalive.Linux.Files;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>Closes duplicated descriptors that are not sockets.</summary>
/// <remarks>
/// To close a descriptor, even a duplicate, calls the flush operation of its file. On FUSE, NFS and similar file systems this talks to
/// another process or host, and may wait for it forever. So the type of a descriptor is read before it is duplicated. But its process can
/// put another file under the number in between, and a malicious process does so all the time.
/// To read the type costs as much as to duplicate a socket and to read its options. So a descriptor that was a socket the last time is duplicated
/// unseen, unless its owner has had such a file a short while ago, or many owners have.
/// </remarks>
/// <param name="time">The clock.</param>
internal sealed class ForeignFiles(TimeProvider time) : IDisposable
{
    /// <summary>The limit of one owner's files that are being closed. At the limit, no more descriptors of that owner are
    /// duplicated.</summary>
    private const int Most = 4;

    /// <summary>The limit of owners that have such files. At the limit, no descriptor is duplicated unseen.</summary>
    private const int MostOwners = 64;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(1);

    /// <summary>The time after which all are trusted again: numbers are also used for other files by processes that mean well.</summary>
    private static readonly TimeSpan s_memory = TimeSpan.FromMinutes(10);

    private readonly List<(StrayFile File, string Account, Thread Closing)> _closing = [];
    private readonly HashSet<string> _owners = [];
    private long _since;

    /// <summary>Whether so many of an owner's files do not close that its descriptors are skipped.</summary>
    public bool IsFull(string? account)
    {
        if (_closing.Count < Most)
        {
            return false;
        }
        _closing.RemoveAll(static one => !one.Closing.IsAlive);
        return _closing.Count(one => one.Account == Accountable.Key(account)) >= Most;
    }

    /// <summary>Whether a descriptor of an owner that was a socket the last time may be duplicated before its type is read.</summary>
    public bool Trusts(string? account)
    {
        if (_owners.Count == 0)
        {
            return true;
        }
        if (time.GetElapsedTime(_since) >= s_memory)
        {
            _owners.Clear();
            return true;
        }
        return _owners.Count < MostOwners && !_owners.Contains(Accountable.Key(account));
    }

    /// <summary>Closes a file on a thread of its own. Such files are few, and a thread costs little compared to a file that does not
    /// close.</summary>
    public void Close(in DuplicatedSocket descriptor, string? account)
    {
        if (_owners.Count == 0)
        {
            _since = time.GetTimestamp();
        }
        if (_owners.Count < MostOwners)
        {
            _owners.Add(Accountable.Key(account));
        }
        var file = descriptor.ToFile();
        var thread = new Thread(file.Close, maxStackSize: 64 * 1024) { IsBackground = true, Name = "close" };
        thread.Start();
        _closing.Add((file, Accountable.Key(account), thread));
    }

    /// <summary>Makes sure that the process can end: a thread that waits for such a file cannot be killed.</summary>
    public void Dispose()
    {
        foreach (var (file, _, closing) in _closing)
        {
            if (!closing.Join(s_patience) && file.TryAbort())
            {
                closing.Join(s_patience);
            }
        }
    }
}
