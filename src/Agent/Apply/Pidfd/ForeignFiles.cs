using Keepalive.Agent.Workloads;
using Keepalive.Linux.Files;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Pidfd;

/// <summary>Closes duplicates of what is no socket after all.</summary>
/// <remarks>
/// Closing a descriptor, a duplicate included, calls the file's flush operation. On FUSE, NFS and the like that talks to another process or
/// host and may wait for it for ever. So a descriptor is asked for its type before it is duplicated; but its process can put another file
/// under the number in between, and one that wants to hurt does so all the time.
/// </remarks>
internal sealed class ForeignFiles : IDisposable
{
    /// <summary>Files of one owner that may be about to be closed, after which nothing more of it is duplicated.</summary>
    private const int Most = 4;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(1);

    private readonly List<(StrayFile File, string Account, Thread Closing)> _closing = [];

    /// <summary>Whether so many of an owner's files do not close that it is left alone.</summary>
    public bool IsFull(string? account)
    {
        if (_closing.Count < Most)
        {
            return false;
        }
        _closing.RemoveAll(static one => !one.Closing.IsAlive);
        return _closing.Count(one => one.Account == Accountable.Key(account)) >= Most;
    }

    /// <summary>Closes one on a thread of its own. They are few: a thread costs little beside one that does not close.</summary>
    public void Close(in DuplicatedSocket descriptor, string? account)
    {
        var file = descriptor.ToFile();
        var thread = new Thread(file.Close, maxStackSize: 64 * 1024) { IsBackground = true, Name = "close" };
        thread.Start();
        _closing.Add((file, Accountable.Key(account), thread));
    }

    /// <summary>Sees to it that the process can end: a thread that waits for such a file cannot be killed.</summary>
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
