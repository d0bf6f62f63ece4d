using Keepalive.Linux.Files;
using Keepalive.Linux.Interop;
using Microsoft.Win32.SafeHandles;

namespace Keepalive.Linux.Netlink;

/// <summary>Waits for messages from any of several namespaces, or for a wake-up.</summary>
public sealed unsafe class DestroyedPoll : IDisposable
{
    private readonly Epoll _epoll = new();
    private readonly SafeFileHandle _wake;
    private readonly Dictionary<int, DestroyedSockets> _sources = [];

    /// <exception cref="LinuxException">There are too many descriptors.</exception>
    public DestroyedPoll()
    {
        _wake = SysEventfd.eventfd(0, SysEventfd.EFD_CLOEXEC | SysEventfd.EFD_NONBLOCK);
        if (_wake.IsInvalid)
        {
            var failure = LinuxException.Last("eventfd");
            _epoll.Dispose();
            throw failure;
        }
        _epoll.Add((int)_wake.DangerousGetHandle());
    }

    /// <exception cref="LinuxException">There are too many (fs.epoll.max_user_watches).</exception>
    public void Add(DestroyedSockets source)
    {
        _epoll.Add(source.Descriptor);
        _sources.Add(source.Descriptor, source);
    }

    /// <summary>Removes a source. This must be called before the source is closed.</summary>
    public void Remove(DestroyedSockets source)
    {
        if (_sources.Remove(source.Descriptor))
        {
            _epoll.Remove(source.Descriptor);
        }
    }

    /// <summary>Ends the current wait, or the next one. Any thread may call it.</summary>
    public void Wake()
    {
        ulong one = 1;
        _ = Unistd.write(_wake, &one, sizeof(ulong));
    }

    /// <summary>Waits for a message or a wake-up.</summary>
    /// <param name="ready">Receives the sources that have messages.</param>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public void Wait(List<DestroyedSockets> ready)
    {
        ready.Clear();
        Span<int> descriptors = stackalloc int[Epoll.Most];
        foreach (var descriptor in descriptors[.._epoll.Wait(-1, descriptors)])
        {
            if (_sources.TryGetValue(descriptor, out var source))
            {
                ready.Add(source);
                continue;
            }
            ulong times;
            _ = Unistd.read(_wake, &times, sizeof(ulong));
        }
    }

    public void Dispose()
    {
        _epoll.Dispose();
        _wake.Dispose();
    }
}
