using System.Runtime.InteropServices;
using Keepalive.Linux.Interop;
using Microsoft.Win32.SafeHandles;

namespace Keepalive.Linux.Files;

/// <summary>Waits until any of several descriptors is readable (epoll(7), level-triggered). The cost grows with the number of readable
/// descriptors, not with the number of all.</summary>
internal sealed unsafe class Epoll : IDisposable
{
    /// <summary>The maximum number of descriptors reported at a time. The others stay readable, and come first the next time.</summary>
    internal const int Most = 64;

    private readonly SafeFileHandle _epoll;
    private readonly byte[] _events = new byte[Most * EventSize];

    /// <exception cref="LinuxException">There are too many descriptors.</exception>
    internal Epoll()
    {
        _epoll = SysEpoll.epoll_create1(SysEpoll.EPOLL_CLOEXEC);
        if (_epoll.IsInvalid)
        {
            throw LinuxException.Last("epoll_create1");
        }
    }

    /// <summary>The size of <c>struct epoll_event</c>. Its last eight bytes belong to the caller (include/uapi/linux/eventpoll.h,
    /// EPOLL_PACKED).</summary>
    internal static int EventSize { get; } = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 12 : 16;

    /// <exception cref="LinuxException">There are too many (fs.epoll.max_user_watches).</exception>
    internal void Add(int descriptor)
    {
        var wanted = stackalloc byte[EventSize];
        var bytes = new Span<byte>(wanted, EventSize);
        BitConverter.TryWriteBytes(bytes, SysEpoll.EPOLLIN);
        BitConverter.TryWriteBytes(bytes[^sizeof(ulong)..], (ulong)descriptor);
        if (SysEpoll.epoll_ctl(_epoll, SysEpoll.EPOLL_CTL_ADD, descriptor, wanted) != 0)
        {
            throw LinuxException.Last("epoll_ctl");
        }
    }

    /// <summary>Removes a descriptor. This must be called before the descriptor is closed.</summary>
    internal void Remove(int descriptor)
    {
        // This fails only if the descriptor was not added.
        _ = SysEpoll.epoll_ctl(_epoll, SysEpoll.EPOLL_CTL_DEL, descriptor, null);
    }

    /// <summary>Waits for a readable descriptor.</summary>
    /// <param name="milliseconds">The maximum time; -1 for no limit.</param>
    /// <param name="ready">Receives the descriptors that are readable or have an error.</param>
    /// <returns>The number of these descriptors.</returns>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    internal int Wait(int milliseconds, Span<int> ready)
    {
        int count;
        fixed (byte* events = _events)
        {
            count = SysEpoll.epoll_wait(_epoll, events, Math.Min(Most, ready.Length), milliseconds);
        }
        if (count < 0 && Marshal.GetLastPInvokeError() != Errno.EINTR)
        {
            throw LinuxException.Last("epoll_wait");
        }
        for (var i = 0; i < count; i++)
        {
            ready[i] = (int)BitConverter.ToUInt64(_events, ((i + 1) * EventSize) - sizeof(ulong));
        }
        return Math.Max(count, 0);
    }

    public void Dispose() => _epoll.Dispose();
}
