using Keepalive.Linux.Files;

namespace Keepalive.Linux.Capture;

/// <summary>Waits for packets on any of several interfaces. The cost grows with the interfaces that have packets, not with their
/// number.</summary>
public sealed class CapturePoll : IDisposable
{
    private readonly Epoll _epoll = new();
    private readonly Dictionary<int, InterfaceCapture> _captures = [];

    /// <summary>Adds an interface to wait for.</summary>
    /// <exception cref="LinuxException">There are too many (fs.epoll.max_user_watches).</exception>
    public void Add(InterfaceCapture capture)
    {
        _epoll.Add(capture.Descriptor);
        _captures.Add(capture.Descriptor, capture);
    }

    /// <summary>Removes an interface. This must be called before the interface is closed.</summary>
    public void Remove(InterfaceCapture capture)
    {
        if (_captures.Remove(capture.Descriptor))
        {
            _epoll.Remove(capture.Descriptor);
        }
    }

    /// <summary>Waits up to the given time, and lists the interfaces that have packets or an error.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public void Wait(int milliseconds, List<InterfaceCapture> ready)
    {
        ready.Clear();
        Span<int> descriptors = stackalloc int[Epoll.Most];
        foreach (var descriptor in descriptors[.._epoll.Wait(milliseconds, descriptors)])
        {
            if (_captures.TryGetValue(descriptor, out var capture))
            {
                ready.Add(capture);
            }
        }
    }

    public void Dispose() => _epoll.Dispose();
}
