using System.Runtime.InteropServices;
using Keepalive.Linux.Interop;
using Microsoft.Win32.SafeHandles;

namespace Keepalive.Linux.Capture;

/// <summary>Waits for packets on any of several interfaces. The cost grows with the interfaces that have packets, not with their number.</summary>
public sealed class CapturePoll : IDisposable
{
    /// <summary>Interfaces told of at a time; what others have is still there the next time.</summary>
    private const int Most = 64;

    private readonly SafeFileHandle _epoll;
    private readonly byte[] _events = new byte[Most * EventSize];
    private readonly Dictionary<int, InterfaceCapture> _captures = [];

    /// <exception cref="LinuxException">There are too many descriptors.</exception>
    public CapturePoll()
    {
        _epoll = SysEpoll.epoll_create1(SysEpoll.EPOLL_CLOEXEC);
        if (_epoll.IsInvalid)
        {
            throw LinuxException.Last("epoll_create1");
        }
    }

    /// <summary>Of <c>struct epoll_event</c>, whose last eight bytes are the caller's own (include/uapi/linux/eventpoll.h, EPOLL_PACKED).</summary>
    internal static int EventSize { get; } = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 12 : 16;

    /// <summary>Begins to wait for an interface, too.</summary>
    /// <exception cref="LinuxException">There are too many (fs.epoll.max_user_watches).</exception>
    public unsafe void Add(InterfaceCapture capture)
    {
        var wanted = stackalloc byte[EventSize];
        var bytes = new Span<byte>(wanted, EventSize);
        BitConverter.TryWriteBytes(bytes, SysEpoll.EPOLLIN);
        BitConverter.TryWriteBytes(bytes[^sizeof(ulong)..], (ulong)capture.Descriptor);
        if (SysEpoll.epoll_ctl(_epoll, SysEpoll.EPOLL_CTL_ADD, capture.Descriptor, wanted) != 0)
        {
            throw LinuxException.Last("epoll_ctl");
        }
        _captures.Add(capture.Descriptor, capture);
    }

    /// <summary>No longer waits for an interface; to be called before it is closed.</summary>
    public unsafe void Remove(InterfaceCapture capture)
    {
        if (_captures.Remove(capture.Descriptor))
        {
            // Fails only where it is not there.
            _ = SysEpoll.epoll_ctl(_epoll, SysEpoll.EPOLL_CTL_DEL, capture.Descriptor, null);
        }
    }

    /// <summary>Waits, at most so long, and lists those with something to read, or to learn by trying.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public unsafe void Wait(int milliseconds, List<InterfaceCapture> ready)
    {
        ready.Clear();
        int count;
        fixed (byte* events = _events)
        {
            count = SysEpoll.epoll_wait(_epoll, events, Most, milliseconds);
        }
        if (count < 0 && Marshal.GetLastPInvokeError() != Errno.EINTR)
        {
            throw LinuxException.Last("epoll_wait");
        }
        for (var i = 0; i < count; i++)
        {
            var descriptor = (int)BitConverter.ToUInt64(_events, ((i + 1) * EventSize) - sizeof(ulong));
            if (_captures.TryGetValue(descriptor, out var capture))
            {
                ready.Add(capture);
            }
        }
    }

    public void Dispose() => _epoll.Dispose();
}
